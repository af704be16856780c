"""Wyoming over TCP, so that Home Assistant can use the server as speech-to-text.

Source: https://github.com/OHF-Voice/wyoming. Framing by the ``wyoming`` package (extra
``[wyoming]``). ``transcript-chunk`` cannot be taken back and carries the stable prefix only.
"""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

from wyoming.asr import (
    Transcribe,
    TranscriptChunk,
    TranscriptStart,
    TranscriptStop,
)
from wyoming.asr import Transcript as WyomingTranscript
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.error import Error
from wyoming.event import Event
from wyoming.info import AsrModel, AsrProgram, Attribution, Describe, Info
from wyoming.ping import Ping, Pong
from wyoming.server import AsyncEventHandler, AsyncTcpServer

import streamer
from streamer.errors import InputError, StreamerError
from streamer.nodes.session import Delivery
from streamer.packets import Transcript
from streamer.serve.sessions import Sessions
from streamer.serve.wire import Wire, open_wire, stable_delta

__all__ = ["serve_wyoming"]

_WIDTHS = {2: "s16le", 4: "f32le"}


class _Handler(AsyncEventHandler):
    """One connection; a session of the graph for each utterance."""

    def __init__(self, sessions: Sessions, languages: list[str], *args: Any) -> None:
        super().__init__(*args)
        self._sessions = sessions
        self._languages = languages
        self._stack = AsyncExitStack()
        self._wire: Wire | None = None
        self._finals: list[str] = []
        self._sent = ""
        self._failed = False

    async def handle_event(self, event: Event) -> bool:
        """True to go on; called by the server for each event."""
        try:
            await self._obey(event)
        except StreamerError as error:
            self._failed = True
            await self.write_event(Error(text=error.message, code=error.code).event())
            await self._close()
        return True

    async def disconnect(self) -> None:
        await self._close()

    async def _obey(self, event: Event) -> None:
        if Describe.is_type(event.type):
            await self.write_event(_info(self._languages).event())
        elif Ping.is_type(event.type):
            await self.write_event(Pong(text=Ping.from_event(event).text).event())
        elif Transcribe.is_type(event.type):
            self._failed = False
        elif AudioStart.is_type(event.type):
            await self._open(AudioStart.from_event(event))
        elif AudioChunk.is_type(event.type):
            chunk = AudioChunk.from_event(event)
            if self._failed:
                return
            if self._wire is None:
                await self._open(AudioStart(chunk.rate, chunk.width, chunk.channels))
            assert self._wire is not None
            await self._wire.audio.push(chunk.audio)
        elif AudioStop.is_type(event.type):
            await self._finish()

    async def _open(self, start: AudioStart) -> None:
        await self._close()
        self._failed = False
        if start.width not in _WIDTHS:
            raise InputError(
                f"Samples of {start.width} bytes are not served here.",
                code="serve.bad-format",
                hint="Send 16-bit samples.",
            )
        self._finals, self._sent = [], ""
        self._wire = await self._stack.enter_async_context(
            open_wire(self._sessions, _WIDTHS[start.width], start.rate, start.channels, self._take)
        )
        await self.write_event(TranscriptStart().event())

    async def _take(self, delivery: Delivery) -> None:
        transcript = delivery.event
        if not isinstance(transcript, Transcript):
            return
        delta = stable_delta(transcript, self._sent)
        if delta:
            lead = " " if self._finals and not self._sent else ""
            await self.write_event(TranscriptChunk(text=lead + delta).event())
            self._sent += delta
        if transcript.final:
            self._sent = ""
            if transcript.text:
                self._finals.append(transcript.text)

    async def _finish(self) -> None:
        if self._wire is not None:
            await self._wire.end()
        if not self._failed:
            await self.write_event(WyomingTranscript(text=" ".join(self._finals)).event())
            await self.write_event(TranscriptStop().event())
        await self._close()

    async def _close(self) -> None:
        self._wire = None
        stack, self._stack = self._stack, AsyncExitStack()
        await stack.aclose()


def _info(languages: list[str]) -> Info:
    by = Attribution(name="streamer", url="")
    model = AsrModel(
        name="streamer",
        attribution=by,
        installed=True,
        description="the served graph",
        version=streamer.__version__,
        languages=languages,
    )
    program = AsrProgram(
        name="streamer",
        attribution=by,
        installed=True,
        description="real-time speech pipelines",
        version=streamer.__version__,
        models=[model],
        supports_transcript_streaming=True,
    )
    return Info(asr=[program])


@contextlib.asynccontextmanager
async def serve_wyoming(sessions: Sessions, host: str, port: int, languages: list[str]) -> Any:
    """Listen until the block ends."""
    server = AsyncTcpServer(host, port)
    handler = partial(_Handler, sessions, languages)
    await server.start(handler)
    try:
        yield server
    finally:
        await server.stop()
        await asyncio.sleep(0)
