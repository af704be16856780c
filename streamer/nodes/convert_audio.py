"""``convert.audio``: another sample rate or number of channels."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from streamer.audio.resample import Resampler
from streamer.graph import In, Node, Out
from streamer.graph.node import NodeConfig
from streamer.packets import AudioFrame, Stamp

__all__ = ["ConvertAudio"]


class ConvertAudio(Node):
    """Resamples and mixes down; frames that fit already pass untouched.

    The graph inserts it where a port needs another format than it is given.
    """

    kind = "convert.audio"
    converts = AudioFrame
    audio: In[AudioFrame]
    out: Out[AudioFrame]

    class Config(NodeConfig):
        rate: int = Field(16000, gt=0)
        channels: int = Field(1, gt=0)

    _resampler: Resampler | None = None

    @classmethod
    def gives(cls, config: Any) -> dict[str, dict[str, Any]]:
        return {"out": {"rate": config.rate, "channels": config.channels}}

    async def process(self, frame: AudioFrame) -> None:
        config = self.config
        if self._resampler is None:
            if (frame.rate, frame.channels) == (config.rate, config.channels):
                await self.out.send(frame)
                return
            self._resampler = Resampler(config.rate, config.channels)
        await self._send(self._resampler.process(frame))

    async def finish(self) -> None:
        if self._resampler is not None:
            await self._send(self._resampler.flush())

    async def on_mark(self, mark: str) -> None:
        await self.finish()

    async def on_flush(self) -> None:
        self._resampler = None

    async def _send(self, frames: list[AudioFrame]) -> None:
        """Send with the capture time of each frame's own newest sample."""
        taken = self.ctx.stamp
        for frame in frames:
            captured = taken.captured_ns
            if captured:
                captured -= int((taken.seconds - frame.end / frame.rate) * 1e9)
            stamp = Stamp(taken.session, frame.end, frame.rate, captured, taken.generation)
            await self.out.send(frame, stamp)
