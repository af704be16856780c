"""What all detectors of sound have in common."""

from __future__ import annotations

from collections.abc import Iterable

from streamer.graph import In, Node, Out
from streamer.packets import AudioEvent, AudioFrame

__all__ = ["EventsNode"]


class EventsNode(Node):
    """Audio in, events out; what is heard, and in which format, is up to the subclass."""

    audio: In[AudioFrame]
    event: Out[AudioEvent]

    async def send(self, events: Iterable[AudioEvent]) -> None:
        """One after the other, under the stamp of what is being processed."""
        for event in events:
            await self.event.send(event)
