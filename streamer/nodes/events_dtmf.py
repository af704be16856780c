"""``events.dtmf``: telephone keys."""

from __future__ import annotations

from streamer.events.dtmf import DtmfStream
from streamer.graph import In, Node, Out
from streamer.packets import AudioEvent, AudioFrame

__all__ = ["EventsDtmf"]


class EventsDtmf(Node):
    """Keys of a telephone (0-9, A-D, * and #), each with start and end. From 8000 Hz on."""

    kind = "events.dtmf"
    audio: In[AudioFrame]
    event: Out[AudioEvent]

    async def start(self) -> None:
        self._stream = DtmfStream()

    async def process(self, frame: AudioFrame) -> None:
        await self._send(self._stream.push(frame))

    async def finish(self) -> None:
        await self._send(self._stream.finish())

    async def _send(self, events: list[AudioEvent]) -> None:
        for event in events:
            await self.event.send(event)
