"""What a node reads from: all its input channels and the control lane, as one stream."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from streamer.graph.bell import Bell
from streamer.graph.channel import Channel
from streamer.graph.packet import Packet, Signal

__all__ = ["Inbox"]


class Inbox:
    """Signals first, then packets in the order in which they arrived on any channel."""

    def __init__(self, channels: Sequence[Channel]) -> None:
        self.channels = channels
        self.held: set[Channel] = set()
        """Channels that have delivered a mark and wait for the others to do so."""
        self._signals: deque[Signal] = deque()
        self._bell = Bell()
        for channel in channels:
            channel.on_data = self.wake

    def signal(self, signal: Signal) -> None:
        """Send a signal; it overtakes everything queued."""
        self._signals.append(signal)
        self.wake()

    def wake(self) -> None:
        """Let the reader look again."""
        self._bell.ring()

    def poll(self) -> tuple[Channel, Packet] | Signal | None:
        """The next thing to do, or None."""
        if self._signals:
            return self._signals.popleft()
        first: Channel | None = None
        when = 0
        for channel in self.channels:
            front = channel.front
            if (
                front is not None
                and channel not in self.held
                and (first is None or front.queued_ns < when)
            ):
                first, when = channel, front.queued_ns
        return None if first is None else (first, first.take())

    @property
    def ended(self) -> bool:
        """Every channel but the feedback ones is exhausted."""
        return all(channel.exhausted or channel.edge.feedback for channel in self.channels)

    @property
    def all_held(self) -> bool:
        """A mark has come through every channel that still lives, feedback aside."""
        return all(
            channel in self.held or channel.exhausted or channel.edge.feedback
            for channel in self.channels
        )

    async def wait(self) -> None:
        """Until :meth:`wake` is called."""
        await self._bell.wait()
