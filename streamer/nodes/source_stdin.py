"""``source.stdin``: raw samples from standard input."""

from __future__ import annotations

import asyncio
import sys
import threading
from typing import Any, BinaryIO

from pydantic import Field

from streamer.audio.samples import PcmFormat, clean, from_pcm, sample_width
from streamer.errors import InputError
from streamer.graph import Out, Source
from streamer.graph.node import NodeConfig
from streamer.graph.units import Seconds
from streamer.packets import AudioFrame, Stamp

__all__ = ["SourceStdin"]


class SourceStdin(Source):
    """Raw interleaved PCM, as ``ffmpeg -f s16le -`` or ``arecord -t raw`` write it."""

    kind = "source.stdin"
    audio: Out[AudioFrame]

    class Config(NodeConfig):
        format: PcmFormat = "s16le"
        rate: int = Field(16000, gt=0)
        channels: int = Field(1, gt=0)
        chunk: Seconds = 0.02

    @classmethod
    def gives(cls, config: Any) -> dict[str, dict[str, Any]]:
        return {"audio": {"rate": config.rate, "channels": config.channels}}

    async def run(self) -> None:
        config = self.config
        size = sample_width(config.format) * config.channels
        chunk = max(1, round(config.chunk * config.rate)) * size
        queue: asyncio.Queue[tuple[bytes, int]] = asyncio.Queue(8)
        # A thread of its own, since nothing can wake a thread that waits on a silent pipe.
        threading.Thread(
            target=self._pump,
            args=(sys.stdin.buffer, chunk, queue, asyncio.get_running_loop()),
            name="stdin",
            daemon=True,
        ).start()
        stopping = asyncio.create_task(self.ctx.stopping.wait())
        try:
            await self._forward(queue, stopping, size)
        finally:
            stopping.cancel()

    async def _forward(
        self, queue: asyncio.Queue[tuple[bytes, int]], stopping: asyncio.Task[Any], size: int
    ) -> None:
        config = self.config
        rest, position, replaced = b"", 0, 0
        while True:
            getting = asyncio.create_task(queue.get())
            await asyncio.wait({getting, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not getting.done():
                getting.cancel()
                break
            data, captured = getting.result()
            if not data:
                break
            rest += data
            whole = len(rest) // size * size
            samples, bad = clean(from_pcm(rest[:whole], config.format, config.channels))
            rest = rest[whole:]
            replaced += bad
            if not len(samples):
                continue
            frame = AudioFrame(samples, config.rate, position)
            position = frame.end
            await self.audio.send(
                frame,
                Stamp(self.ctx.session, frame.end, frame.rate, captured, self.ctx.generation),
            )
        if replaced:
            self.ctx.report(
                InputError(
                    f"{replaced} samples of standard input were NaN or infinite and became 0.",
                    code="audio.not-finite",
                    hint="Check the format given with `format`.",
                )
            )

    def _pump(
        self,
        stream: BinaryIO,
        chunk: int,
        queue: asyncio.Queue[tuple[bytes, int]],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        read = getattr(stream, "read1", stream.read)
        data = b"more"
        while data:
            data = read(chunk)
            put = queue.put((data, int(loop.time() * 1e9)))
            try:
                asyncio.run_coroutine_threadsafe(put, loop).result()
            except RuntimeError:  # the loop has been closed
                put.close()
                return
