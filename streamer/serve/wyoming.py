"""Wyoming over TCP, so that Home Assistant can use the server as speech-to-text.

Source: https://github.com/OHF-Voice/wyoming. Framing by the ``wyoming`` package (extra
``[wyoming]``). ``transcript-chunk`` cannot be taken back and carries the stable prefix only.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
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
from streamer.serve.messages import parse_object
from streamer.serve.sessions import Sessions
from streamer.serve.wire import Wire, open_wire, stable_delta

__all__ = ["read_event", "serve_wyoming"]

_log = logging.getLogger("streamer.serve")
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

    async def run(self) -> None:
        """Serve the connection until it ends; nothing that a client sends comes out as an error."""
        try:
            while (event := await self._receive()) is not None:
                await self.handle_event(event)
        except (OSError, asyncio.IncompleteReadError):
            pass  # the client is gone
        except StreamerError as error:
            with contextlib.suppress(OSError):
                await self.write_event(Error(text=error.message, code=error.code).event())
        except Exception:
            _log.exception("a Wyoming connection failed")
        finally:
            await self.disconnect()
            self.writer.close()

    async def handle_event(self, event: Event) -> bool:
        """Always True; a failed utterance does not end the connection."""
        try:
            await self._obey(event)
        except StreamerError as error:
            self._failed = True
            await self.write_event(Error(text=error.message, code=error.code).event())
            await self._close()
        return True

    async def _receive(self) -> Event | None:
        """The next event; None at the end. The package itself bounds neither time nor size."""
        limits = self._sessions.limits
        reading = asyncio.create_task(read_event(self.reader, limits.message, limits.json_depth))
        ended = {self._wire.reader} if self._wire is not None else set()
        try:
            await asyncio.wait(
                {reading, *ended}, timeout=limits.idle, return_when=asyncio.FIRST_COMPLETED
            )
            if reading.done():
                return reading.result()
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
        if self._wire is None or not self._wire.reader.done():
            raise InputError(f"Nothing came for {limits.idle:g} s.", code="serve.idle")
        await self._finish()  # the server shuts down, or the graph failed
        return None

    async def disconnect(self) -> None:
        await self._close()

    async def _obey(self, event: Event) -> None:
        if Describe.is_type(event.type):
            await self.write_event(_info(self._languages).event())
        elif Ping.is_type(event.type):
            text = event.data.get("text")
            await self.write_event(Pong(text=text if isinstance(text, str) else None).event())
        elif Transcribe.is_type(event.type):
            self._failed = False
        elif AudioStart.is_type(event.type):
            await self._open(*_format_of(event))
        elif AudioChunk.is_type(event.type):
            if self._failed:
                return
            if self._wire is None:
                await self._open(*_format_of(event))
            assert self._wire is not None
            await self._wire.audio.push(event.payload or b"")
        elif AudioStop.is_type(event.type):
            await self._finish()

    async def _open(self, rate: int, width: int, channels: int) -> None:
        await self._close()
        self._failed = False
        if width not in _WIDTHS:
            raise InputError(
                f"Samples of {width} bytes are not served here.",
                code="serve.bad-format",
                hint="Send 16-bit samples.",
            )
        self._finals, self._sent = [], ""
        self._wire = await self._stack.enter_async_context(
            open_wire(self._sessions, _WIDTHS[width], rate, channels, self._take)
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


async def read_event(reader: asyncio.StreamReader, limit: int, depth: int) -> Event | None:
    """An event of at most ``limit`` bytes of data and of payload each; None at the end.

    Raises :class:`InputError` (``serve.bad-message``) for anything else.
    """
    try:
        line = await reader.readline()
        if not line:
            return None
        head = parse_object(line.decode(), max_depth=depth)
        sizes = [head.get(name) or 0 for name in ("data_length", "payload_length")]
        if any(type(size) is not int or not 0 <= size <= limit for size in sizes):
            raise _bad(f"its parts may have at most {limit} bytes")
        more = (await reader.readexactly(sizes[0])).decode()
        payload = await reader.readexactly(sizes[1])
        data = (head.get("data") or {}) | (parse_object(more, max_depth=depth) if more else {})
        return Event(type=str(head["type"]), data=data, payload=payload)
    except (ValueError, KeyError, TypeError):
        raise _bad("it is not a Wyoming event") from None


def _bad(why: str) -> InputError:
    return InputError(f"The message cannot be read: {why}.", code="serve.bad-message")


def _format_of(event: Event) -> tuple[int, int, int]:
    """Rate, width and channels."""
    rate, width, channels = (event.data.get(name) for name in ("rate", "width", "channels"))
    if type(rate) is not int or type(width) is not int or type(channels) is not int:
        raise _bad("rate, width and channels are whole numbers")
    return rate, width, channels


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
