"""``sink.wav``: speech into a file, at the pace at which it would be heard."""

from __future__ import annotations

import asyncio
import wave
from typing import Literal

import numpy as np

from streamer.captions.output import output_error
from streamer.graph import NodeConfig
from streamer.nodes.playing import PlayingSink
from streamer.packets import Samples

__all__ = ["SinkWav"]

KEPT = 1.0
"""Seconds of sound that a crash may cost."""


class SinkWav(PlayingSink):
    """Plays into a WAV file: 16 bit, mono, at the voice's rate, answers one after the other.

    With `pace: realtime` it takes as long as a loudspeaker would, so that interruptions cut where
    a listener would have stopped hearing.
    """

    kind = "sink.wav"
    outside = True

    class Config(NodeConfig):
        path: str
        pace: Literal["realtime", "fast"] = "realtime"

    _file: wave.Wave_write | None = None
    _due = 0.0

    async def start(self) -> None:
        self._held: list[bytes] = []
        self._held_samples = 0

    async def finish(self) -> None:
        await self._write()

    async def close(self) -> None:
        if self._file is not None:
            file, self._file = self._file, None
            await self.ctx.call(file.close)

    async def open(self, rate: int) -> None:
        if self._file is None:
            self._file = await self.ctx.call(self._create, rate)

    async def put(self, samples: Samples, rate: int) -> None:
        if self.config.pace == "realtime":
            clock = asyncio.get_running_loop().time()
            if self._due > clock:
                await asyncio.sleep(self._due - clock)
                if self._stale:
                    return
            self._due = max(self._due, clock) + samples.shape[0] / rate
        self._held.append((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
        self._held_samples += samples.shape[0]
        if self._held_samples >= KEPT * rate:
            await self._write()

    async def settle(self) -> None:
        await asyncio.sleep(max(self._due - asyncio.get_running_loop().time(), 0))
        await self._write()

    async def silence(self) -> None:
        self._due = 0.0
        await self._write()

    async def _write(self) -> None:
        if self._held and self._file is not None:
            data, self._held, self._held_samples = b"".join(self._held), [], 0
            await self.ctx.call(self._append, data)

    def _append(self, data: bytes) -> None:
        assert self._file is not None
        try:
            self._file.writeframes(data)  # also corrects the header
        except OSError as error:
            raise output_error(self.config.path, error) from error

    def _create(self, rate: int) -> wave.Wave_write:
        try:
            file = wave.open(self.config.path, "wb")
        except OSError as error:
            raise output_error(self.config.path, error) from error
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        return file
