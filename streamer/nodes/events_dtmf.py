"""``events.dtmf``: telephone keys."""

from __future__ import annotations

from streamer.events.dtmf import DtmfStream
from streamer.nodes.events import EventsNode
from streamer.packets import AudioFrame

__all__ = ["EventsDtmf"]


class EventsDtmf(EventsNode):
    """Keys of a telephone (0-9, A-D, * and #), each with start and end. From 8000 Hz on."""

    kind = "events.dtmf"

    async def start(self) -> None:
        self._stream = DtmfStream()

    async def process(self, frame: AudioFrame) -> None:
        await self.send(self._stream.push(frame))

    async def finish(self) -> None:
        await self.send(self._stream.finish())
