"""``sink.wav``: speech into a file, at the pace at which it would be heard."""

from __future__ import annotations

import asyncio
import wave
from typing import Any, Literal

import numpy as np

from streamer.audio.playback import Playback
from streamer.captions.output import output_error
from streamer.graph import In, Node, NodeConfig, Out
from streamer.packets import AudioFrame, Played, SpokenAudio

__all__ = ["SinkWav"]

BLOCK = 0.02
"""Seconds between looks at whether an interruption has come."""
KEPT = 1.0
"""Seconds of sound that a crash may cost."""


class SinkWav(Node):
    """Plays into a WAV file: 16 bit, mono, at the voice's rate, answers one after the other.

    With `pace: realtime` it takes as long as a loudspeaker would, so that interruptions cut where
    a listener would have stopped hearing. `played` tells what has been heard; `reference` is the
    sound itself at the moment it plays, for an echo canceller.
    """

    kind = "sink.wav"
    audio: In[SpokenAudio]
    played: Out[Played]
    reference: Out[AudioFrame]

    class Config(NodeConfig):
        path: str
        pace: Literal["realtime", "fast"] = "realtime"

    _file: wave.Wave_write | None = None

    async def start(self) -> None:
        self._now: Playback | None = None
        self._held: list[bytes] = []
        self._held_samples = 0
        self._position = 0
        self._due = 0.0

    async def process(self, audio: SpokenAudio) -> None:
        if self._file is None:
            await self.ctx.call(self._open, audio.rate)
        if self._now is None or self._now.turn != audio.turn:
            self._now = Playback(audio.turn, audio.rate)
        now = self._now
        now.add(audio)
        step = int(BLOCK * audio.rate)
        for begin in range(0, audio.samples.shape[0], step):
            if self.ctx.stamp.generation < self.ctx.generation:
                return
            await self._play(now, audio.samples[begin : begin + step])
        if audio.last:
            if now.played and self.config.pace == "realtime":
                await asyncio.sleep(max(self._due - asyncio.get_running_loop().time(), 0))
            if self.ctx.stamp.generation < self.ctx.generation:
                return
            now.finish()
            await self._tell("done")
            self._now = None
            await self._write()

    async def on_interrupt(self, generation: int) -> None:
        if self._now is not None:
            await self._tell("interrupted")
            self._now = None
        await self._write()

    async def finish(self) -> None:
        await self._write()

    async def close(self) -> None:
        if self._file is not None:
            file, self._file = self._file, None
            await self.ctx.call(file.close)

    async def _play(self, now: Playback, samples: Any) -> None:
        """One block: wait until the one before has been heard, then count it as heard."""
        first = now.played == 0
        if self.config.pace == "realtime":
            clock = asyncio.get_running_loop().time()
            if self._due > clock:
                await asyncio.sleep(self._due - clock)
                if self.ctx.stamp.generation < self.ctx.generation:
                    return
            self._due = max(self._due, clock) + samples.shape[0] / now.rate
        frame = AudioFrame(samples[:, None], now.rate, self._position)
        self._position = frame.end
        self._held.append((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
        self._held_samples += samples.shape[0]
        heard = now.advance(samples)
        await self.reference.send(frame)
        if first:
            await self._tell("start")
        elif heard:
            await self._tell("playing")
        if self._held_samples >= KEPT * now.rate:
            await self._write()

    async def _tell(self, state: Literal["start", "playing", "done", "interrupted"]) -> None:
        assert self._now is not None
        await self.played.send(Played(self._now.turn, self._now.text, self._now.seconds, state))

    async def _write(self) -> None:
        if self._held and self._file is not None:
            data, self._held, self._held_samples = b"".join(self._held), [], 0
            await self.ctx.call(self._append, data)

    def _append(self, data: bytes) -> None:
        assert self._file is not None
        try:
            self._file.writeframes(data)
        except OSError as error:
            raise output_error(self.config.path, error) from error

    def _open(self, rate: int) -> None:
        try:
            file = wave.open(self.config.path, "wb")
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(rate)
        except OSError as error:
            raise output_error(self.config.path, error) from error
        self._file = file
