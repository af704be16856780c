"""Deepgram's live protocol at ``/v1/listen``.

Source: https://developers.deepgram.com/docs/live-streaming-audio. ``is_final``: this stretch will
not change; ``speech_final``: the speaker paused. Understood: KeepAlive, Finalize, CloseStream.
"""

from __future__ import annotations

import asyncio
import datetime
import json
import math
from typing import Any

from streamer.errors import InputError
from streamer.nodes.session import Delivery
from streamer.packets import SpeechSpan, Transcript
from streamer.serve.gateway import Client
from streamer.serve.messages import parse_object
from streamer.serve.sessions import Sessions
from streamer.serve.wire import Wire, open_wire, receive_for

__all__ = ["deepgram"]

_ENCODINGS = {"linear16": "s16le", "mulaw": "mulaw", "alaw": "alaw", "linear32": "f32le"}
_TRUE = ("true", "1", "yes")


class _Listener:
    """Turns deliveries into the messages that the query asked for."""

    def __init__(self, client: Client) -> None:
        query = client.query
        self.socket = client.socket
        self.interim = query.get("interim_results", "false").lower() in _TRUE
        self.vad_events = query.get("vad_events", "false").lower() in _TRUE
        self.utterance_end = _number(query, "utterance_end_ms", 0) / 1000
        self.model = query.get("model", "streamer")
        self.request_id = ""
        self.finalizing = False
        self._timer: asyncio.Task[None] | None = None

    async def take(self, delivery: Delivery) -> None:
        event = delivery.event
        if isinstance(event, SpeechSpan) and event.state == "start":
            self._stop_timer()
            if self.vad_events:
                await self.send(
                    {"type": "SpeechStarted", "channel": [0], "timestamp": round(event.start, 3)}
                )
        elif isinstance(event, Transcript) and (event.final or self.interim):
            await self.send(self._results(event))
            if event.final and event.text and self.interim and self.utterance_end:
                self._stop_timer()
                end = event.words[-1].end if event.words else event.end
                self._timer = asyncio.create_task(self._end_utterance(end))

    async def _end_utterance(self, last_word: float) -> None:
        await asyncio.sleep(self.utterance_end)
        await self.send(
            {"type": "UtteranceEnd", "channel": [0, 1], "last_word_end": round(last_word, 3)}
        )

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def close(self) -> None:
        """End the timer task."""
        self._stop_timer()

    async def send(self, message: dict[str, Any]) -> None:
        await self.socket.send(json.dumps(message, ensure_ascii=False))

    def _results(self, transcript: Transcript) -> dict[str, Any]:
        words = [
            {
                "word": word.text.strip(".,?!;:\"'").lower() or word.text,
                "start": round(word.start, 3),
                "end": round(word.end, 3),
                "confidence": round(word.confidence, 4),
                "punctuated_word": word.text,
            }
            for word in transcript.words
        ]
        confidences = [word.confidence for word in transcript.words]
        confidence = sum(confidences) / len(confidences) if confidences else 0.0
        alternative = {"transcript": transcript.text, "confidence": confidence, "words": words}
        return {
            "type": "Results",
            "channel_index": [0, 1],
            "duration": round(transcript.end - transcript.start, 3),
            "start": round(transcript.start, 3),
            "is_final": transcript.final,
            "speech_final": transcript.final and not self.finalizing,
            "from_finalize": transcript.final and self.finalizing,
            "channel": {"alternatives": [alternative]},
            "metadata": {
                "request_id": self.request_id,
                "model_info": {"name": self.model, "version": "1", "arch": "streamer"},
                "model_uuid": self.request_id,
            },
        }

    def metadata(self, seconds: float) -> dict[str, Any]:
        return {
            "type": "Metadata",
            "transaction_key": "deprecated",
            "request_id": self.request_id,
            "sha256": "",
            "created": datetime.datetime.now(datetime.UTC).isoformat(),
            "duration": round(seconds, 3),
            "channels": 1,
        }


async def deepgram(client: Client, sessions: Sessions) -> None:
    """Serve one connection."""
    encoding = client.query.get("encoding", "linear16")
    if encoding not in _ENCODINGS:
        raise InputError(
            f"The encoding {encoding[:20]!r} is not served here.",
            code="serve.bad-format",
            hint=f"Use one of {', '.join(_ENCODINGS)}.",
        )
    rate = int(_number(client.query, "sample_rate", 16000))
    channels = int(_number(client.query, "channels", 1))
    listener = _Listener(client)
    async with open_wire(sessions, _ENCODINGS[encoding], rate, channels, listener.take) as wire:
        listener.request_id = wire.session.id
        try:
            await _converse(client, sessions, wire, listener)
        finally:
            await listener.close()


async def _converse(client: Client, sessions: Sessions, wire: Wire, listener: _Listener) -> None:
    limits = sessions.limits
    while True:
        message = await receive_for(wire, client.socket, limits.idle)
        if message is None:
            await listener.send(listener.metadata(wire.session.audio))
            return
        if isinstance(message, bytes):
            if message:
                await wire.audio.push(message)
            continue
        kind = parse_object(message, max_depth=limits.json_depth).get("type")
        if kind == "Finalize":
            listener.finalizing = True
            await wire.settle()
            listener.finalizing = False
        elif kind == "CloseStream":
            await wire.end()
            await listener.send(listener.metadata(wire.session.audio))
            return
        elif kind != "KeepAlive":
            raise InputError(
                f"A message of type {str(kind)[:40]!r} is not understood here.",
                code="serve.bad-message",
                hint="Send KeepAlive, Finalize or CloseStream.",
            )


def _number(query: Any, key: str, default: float) -> float:
    try:
        value = float(query.get(key, default))
        if math.isfinite(value):
            return value
    except ValueError:
        pass
    raise InputError(f"The value of {key} is not a number.", code="serve.bad-format")
