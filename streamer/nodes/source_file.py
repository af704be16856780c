"""``source.file``: a sound or video file."""

from __future__ import annotations

import asyncio
from typing import Literal

from streamer.audio.decode import AudioReader
from streamer.errors import InputError
from streamer.graph import Out, Source
from streamer.graph.node import NodeConfig
from streamer.graph.units import Seconds
from streamer.packets import AudioFrame, Stamp

__all__ = ["SourceFile"]

_READ_AHEAD = 0.5


class SourceFile(Source):
    """Reads anything FFmpeg reads, in real time or as fast as the graph can take it.

    At real-time pace a frame is due when its newest sample would have been spoken, and that is
    its capture time even if the graph takes it late.
    """

    kind = "source.file"
    audio: Out[AudioFrame]

    class Config(NodeConfig):
        path: str
        pace: Literal["realtime", "fast"] = "realtime"
        chunk: Seconds = 0.02

    _reader: AudioReader | None = None

    async def start(self) -> None:
        self._reader = await self.ctx.call(self._open)
        self.duration = self._reader.duration

    async def run(self) -> None:
        reader = self._reader
        assert reader is not None
        begin = self.ctx.now_ns()
        while not self.ctx.stopping.is_set():
            frames = await self.ctx.call(reader.read, _READ_AHEAD)
            if not frames:
                self._report(reader)
                return
            for frame in frames:
                if self.ctx.stopping.is_set():
                    return
                captured = await self._due(begin, frame)
                await self.audio.send(
                    frame,
                    Stamp(self.ctx.session, frame.end, frame.rate, captured, self.ctx.generation),
                )

    async def close(self) -> None:
        if self._reader is not None:
            await self.ctx.call(self._reader.close)

    def _open(self) -> AudioReader:
        return AudioReader(self.config.path, chunk=self.config.chunk)

    async def _due(self, begin: int, frame: AudioFrame) -> int:
        if self.config.pace == "fast":
            return self.ctx.now_ns()
        due = begin + frame.end * 1_000_000_000 // frame.rate
        if (wait := due - self.ctx.now_ns()) > 0:
            await asyncio.sleep(wait / 1e9)
        return due

    def _report(self, reader: AudioReader) -> None:
        for problem in reader.problems:
            self.ctx.report(problem)
        if reader.replaced:
            self.ctx.report(
                InputError(
                    f"{reader.replaced} samples of {reader.name} were NaN or infinite: now 0.",
                    code="audio.not-finite",
                    hint="Check what made the file.",
                )
            )
