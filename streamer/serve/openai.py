"""OpenAI Realtime transcription sessions at ``/v1/realtime``.

Source: https://platform.openai.com/docs/guides/realtime-transcription. The protocol cannot take
words back, so deltas carry the stable prefix only; ``completed`` carries the whole transcript.
"""

from __future__ import annotations

import base64
import binascii
import itertools
import json
from contextlib import AsyncExitStack
from typing import Any

from streamer.errors import InputError, StreamerError
from streamer.nodes.session import Delivery
from streamer.packets import SpeechSpan, Transcript
from streamer.serve.gateway import Client
from streamer.serve.messages import parse_object
from streamer.serve.sessions import Sessions
from streamer.serve.wire import Wire, open_wire, receive, receive_for, stable_delta

__all__ = ["openai"]

DEFAULT_RATE = 24000
_G711 = {"audio/pcmu": "mulaw", "audio/pcma": "alaw", "g711_ulaw": "mulaw", "g711_alaw": "alaw"}


class _Realtime:
    """One connection: its settings, its items, its session of the graph once audio comes."""

    def __init__(self, client: Client, sessions: Sessions) -> None:
        self.socket = client.socket
        self.sessions = sessions
        self.model = client.query.get("model", "streamer")
        self.form, self.rate = "s16le", DEFAULT_RATE
        self.wire: Wire | None = None
        self.stack = AsyncExitStack()
        self._events = itertools.count(1)
        self._items = itertools.count(1)
        self._item = ""
        """The item that speech is going into; empty between items."""
        self._sent: dict[int, str] = {}
        self._item_of: dict[int, str] = {}
        self._previous: str | None = None

    async def send(self, kind: str, **fields: Any) -> None:
        event = {"type": kind, "event_id": f"event_{next(self._events)}", **fields}
        await self.socket.send(json.dumps(event, ensure_ascii=False))

    def session_object(self) -> dict[str, Any]:
        kind = "audio/pcm" if self.form == "s16le" else f"audio/pcm{self.form[0]}"
        form: dict[str, Any] = {"type": kind}
        if self.form == "s16le":
            form["rate"] = self.rate
        return {
            "type": "transcription",
            "object": "realtime.transcription_session",
            "id": f"sess_{id(self):x}",
            "audio": {
                "input": {
                    "format": form,
                    "transcription": {"model": self.model},
                    "turn_detection": {"type": "server_vad"},
                }
            },
        }

    # -- from the client ---------------------------------------------------------------------

    async def update(self, session: Any) -> None:
        form: Any = None
        if isinstance(session, dict):
            audio = session.get("audio")
            given = audio.get("input") if isinstance(audio, dict) else None
            form = given.get("format") if isinstance(given, dict) else None
            form = form or session.get("input_audio_format")
        if form is not None:
            if self.wire is not None:
                raise _bad("the audio format cannot change once audio has come")
            self.form, self.rate = _format_of(form)
        await self.send("session.updated", session=self.session_object())

    async def append(self, audio: Any) -> None:
        try:
            data = base64.b64decode(audio, validate=True)
        except (TypeError, ValueError, binascii.Error):
            raise _bad("audio is not base64") from None
        if self.wire is None:
            self.wire = await self.stack.enter_async_context(
                open_wire(self.sessions, self.form, self.rate, 1, self.take)
            )
        await self.wire.audio.push(data)

    async def commit(self) -> None:
        if self.wire is None:
            raise _bad("the audio buffer is empty")
        await self.wire.settle()

    # -- to the client -----------------------------------------------------------------------

    async def take(self, delivery: Delivery) -> None:
        event = delivery.event
        if isinstance(event, SpeechSpan):
            await self._speech(event)
        elif isinstance(event, Transcript):
            await self._transcript(event)

    async def _speech(self, span: SpeechSpan) -> None:
        if span.state == "start":
            item = self._open_item()
            await self.send(
                "input_audio_buffer.speech_started",
                audio_start_ms=int(span.start * 1000),
                item_id=item,
            )
        elif self._item and span.state == "end":
            end = int((span.end or span.start) * 1000)
            await self.send(
                "input_audio_buffer.speech_stopped", audio_end_ms=end, item_id=self._item
            )

    def _open_item(self) -> str:
        if not self._item:
            self._item = f"item_{next(self._items)}"
        return self._item

    async def _transcript(self, transcript: Transcript) -> None:
        segment = transcript.segment
        item = self._item_of.get(segment)
        if item is None:
            item = self._item_of[segment] = self._open_item()
        sent = self._sent.get(segment, "")
        delta = stable_delta(transcript, sent)
        name = "conversation.item.input_audio_transcription"
        if delta:
            self._sent[segment] = sent + delta
            await self.send(f"{name}.delta", item_id=item, content_index=0, delta=delta)
        if transcript.final:
            if item == self._item:
                self._item = ""
            await self.send(
                "input_audio_buffer.committed", item_id=item, previous_item_id=self._previous
            )
            self._previous = item
            await self.send(
                f"{name}.completed",
                item_id=item,
                content_index=0,
                transcript=transcript.text,
                usage={
                    "type": "duration",
                    "seconds": round(transcript.end - transcript.start, 3),
                },
            )
            del self._item_of[segment]
            self._sent.pop(segment, None)


async def openai(client: Client, sessions: Sessions) -> None:
    """Serve one connection."""
    realtime = _Realtime(client, sessions)
    limits = sessions.limits
    async with realtime.stack:
        await realtime.send("session.created", session=realtime.session_object())
        while True:
            wire = realtime.wire
            if wire is None:
                message: str | bytes | None = await receive(client.socket, limits.idle)
            else:
                message = await receive_for(wire, client.socket, limits.idle)
            if message is None:
                return
            try:
                if isinstance(message, bytes):
                    raise _bad("only JSON messages are understood here")
                await _obey(realtime, parse_object(message, max_depth=limits.json_depth))
            except InputError as error:
                body = {"type": "invalid_request_error", "code": error.code, "message": str(error)}
                await realtime.send("error", error=body)


async def _obey(realtime: _Realtime, message: dict[str, Any]) -> None:
    kind = message.get("type")
    if kind in ("session.update", "transcription_session.update"):
        await realtime.update(message.get("session"))
    elif kind == "input_audio_buffer.append":
        await realtime.append(message.get("audio"))
    elif kind == "input_audio_buffer.commit":
        await realtime.commit()
    elif kind == "input_audio_buffer.clear":
        if realtime.wire is not None:
            realtime.wire.session.engine.flush()
        await realtime.send("input_audio_buffer.cleared")
    else:
        raise _bad(f"a message of type {str(kind)[:40]!r} is not understood")


def _format_of(form: Any) -> tuple[str, int]:
    """Our format name and rate from ``{"type": "audio/pcm", "rate": 24000}`` or the older name."""
    kind = form.get("type") if isinstance(form, dict) else form
    if kind in _G711:
        return _G711[kind], 8000
    if kind in ("audio/pcm", "pcm16"):
        rate = form.get("rate", DEFAULT_RATE) if isinstance(form, dict) else DEFAULT_RATE
        if isinstance(rate, int) and 8000 <= rate <= 48000:
            return "s16le", rate
        raise _bad(f"a rate of {str(rate)[:20]} Hz is not served")
    raise _bad(f"the format {str(kind)[:40]!r} is not served")


def _bad(what: str) -> StreamerError:
    return InputError(
        f"The message cannot be used: {what}.",
        code="serve.bad-message",
        hint="See docs/protocol.md.",
    )
