"""``sink.speaker``: speech through a loudspeaker."""

from __future__ import annotations

from streamer.audio.devices import find_device
from streamer.audio.speaker import Speaker
from streamer.graph import NodeConfig
from streamer.nodes.playing import PlayingSink
from streamer.packets import Samples

__all__ = ["SinkSpeaker"]


class SinkSpeaker(PlayingSink):
    """Plays on a device given by index or part of its name; default: the system's.

    An interruption is heard after at most 10 ms more, plus what the device itself holds back.
    """

    kind = "sink.speaker"
    outside = True

    class Config(NodeConfig):
        device: int | str | None = None

    _speaker: Speaker | None = None

    async def start(self) -> None:
        # A missing device is told before anybody speaks, not at the first answer.
        backend = self.ctx.local.get("portaudio")
        await self.ctx.call(lambda: find_device(self.config.device, backend, kind="output"))

    async def close(self) -> None:
        if self._speaker is not None:
            speaker, self._speaker = self._speaker, None
            await speaker.close()

    async def open(self, rate: int) -> None:
        if self._speaker is not None and self._speaker.rate != rate:
            await self.close()
        if self._speaker is None:
            backend = self.ctx.local.get("portaudio")
            speaker = Speaker(rate, self.config.device, backend=backend)
            await speaker.open()
            self._speaker = speaker

    async def put(self, samples: Samples, rate: int) -> None:
        assert self._speaker is not None
        await self._speaker.write(samples)

    async def hold(self) -> None:
        assert self._speaker is not None
        self._speaker.pause()

    async def settle(self) -> None:
        assert self._speaker is not None
        self._speaker.pause()
        await self._speaker.drain()

    async def silence(self) -> None:
        if self._speaker is not None:
            self._speaker.silence()
