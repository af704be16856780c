"""``source.mic``: a microphone."""

from __future__ import annotations

from typing import Any, ClassVar
from weakref import WeakKeyDictionary

from pydantic import Field

from streamer.audio.microphone import Microphone
from streamer.graph import Out, Source
from streamer.graph.node import NodeConfig
from streamer.graph.units import Seconds
from streamer.packets import AudioFrame, Stamp

__all__ = ["SourceMic"]


class SourceMic(Source):
    """Captures from a device given by index or part of its name; default: the system's.

    A slow graph never holds the device back: audio that waits longer than ``backlog`` is dropped
    and shows as a gap in media time. With ``restart: on_failure`` the device is opened again
    after it went away; media time goes on by the clock.
    """

    kind = "source.mic"
    live = True
    audio: Out[AudioFrame]

    class Config(NodeConfig):
        device: int | str | None = None
        rate: int | None = Field(None, gt=0)
        channels: int = Field(1, gt=0)
        chunk: Seconds = 0.02
        backlog: Seconds = 2.0

    backend: ClassVar[Any] = None
    """Stands in for the ``sounddevice`` module when set."""

    _origins: ClassVar[WeakKeyDictionary[Any, int]] = WeakKeyDictionary()
    """Capture time (ns) of media time 0 by context, which outlives a restart."""

    _mic: Microphone | None = None

    @classmethod
    def gives(cls, config: Any) -> dict[str, dict[str, Any]]:
        known = {"channels": config.channels}
        return {"audio": known | ({"rate": config.rate} if config.rate else {})}

    async def start(self) -> None:
        config = self.config
        self._mic = Microphone(
            config.device,
            rate=config.rate,
            channels=config.channels,
            chunk=config.chunk,
            backlog=config.backlog,
            backend=self.backend,
        )
        await self._mic.open()

    async def run(self) -> None:
        assert self._mic is not None
        offset: int | None = None
        while not self.ctx.stopping.is_set():
            frame, captured = await self._mic.read()
            if offset is None:
                first = captured - frame.end * 1_000_000_000 // frame.rate
                origin = self._origins.setdefault(self.ctx, first)
                offset = max(0, (first - origin) * frame.rate // 1_000_000_000)
            if offset:
                frame = AudioFrame(frame.samples, frame.rate, frame.start + offset, frame.overflow)
            await self.audio.send(
                frame,
                Stamp(self.ctx.session, frame.end, frame.rate, captured, self.ctx.generation),
            )

    async def close(self) -> None:
        if self._mic is not None:
            await self._mic.close()
