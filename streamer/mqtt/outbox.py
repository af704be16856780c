"""What waits to be published while the broker is slow or away."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass

__all__ = ["Message", "Outbox"]


@dataclass(frozen=True, slots=True)
class Message:
    """One message. A ``transient`` one may be replaced, or lost with the connection.

    ``about`` groups messages about one thing: a newer message of the group makes the waiting
    transient ones pointless.
    """

    topic: str
    payload: bytes
    qos: int = 0
    transient: bool = False
    about: Hashable = None


class Outbox:
    """First in, first out, at most ``limit`` messages, one of them in flight.

    When full, the oldest transient message is dropped, or else the oldest of all; ``lost`` counts
    the latter. The message in flight is never dropped: nobody knows whether it arrived.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.lost = 0
        self.in_flight: Message | None = None
        self._queue: deque[Message] = deque()
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._queue) + (self.in_flight is not None)

    def put(self, message: Message) -> int:
        """Add ``message``; returns how many that were not transient were dropped for it."""
        if message.about is not None:
            self._queue = deque(
                m for m in self._queue if not (m.transient and m.about == message.about)
            )
        self._queue.append(message)
        dropped = 0
        while len(self) > self.limit and self._queue:
            dropped += self._drop()
        self.lost += dropped
        self._changed.set()
        return dropped

    async def take(self) -> Message:
        """The next message, in flight until :meth:`done` or :meth:`retry`; waits for one."""
        while not self._queue:
            self._changed.clear()
            await self._changed.wait()
        self.in_flight = self._queue.popleft()
        return self.in_flight

    def done(self) -> None:
        """The message in flight has arrived."""
        self.in_flight = None
        self._changed.set()

    def retry(self) -> None:
        """The message in flight may not have arrived: it goes first next time, unless transient."""
        message, self.in_flight = self.in_flight, None
        if message is not None and not message.transient:
            self._queue.appendleft(message)
        self._changed.set()

    async def emptied(self) -> None:
        """Until nothing waits and nothing is in flight."""
        while len(self):
            self._changed.clear()
            await self._changed.wait()

    def _drop(self) -> int:
        """Drop one; 1 if it was not transient."""
        for index, message in enumerate(self._queue):
            if message.transient:
                del self._queue[index]
                return 0
        self._queue.popleft()
        return 1
