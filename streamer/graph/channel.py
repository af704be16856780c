"""An edge at run time: a bounded queue that says what it did with every packet."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from streamer.errors import NodeError
from streamer.graph.packet import Mark, Packet, interruptible
from streamer.graph.plan import Edge

__all__ = ["Channel", "ChannelStats"]


@dataclass(frozen=True, slots=True)
class ChannelStats:
    """A channel at one moment. ``oldest`` is the wait so far (s) of the packet in front."""

    name: str
    depth: int
    media: float
    oldest: float
    accepted: int
    dropped: int
    dropped_seconds: float
    coalesced: int
    stale: int
    discarded: int
    senders_waiting: int


def _nothing(*_: object) -> None:
    pass


class Channel:
    """First in, first out, bounded by ``edge.queue``.

    ``offer`` never waits; ``put`` waits where the policy says so. A packet is counted exactly
    once: accepted, and later possibly dropped, coalesced or stale; or turned away at the door
    (dropped, stale, or discarded because the reader is gone).
    """

    def __init__(self, edge: Edge, now_ns: Callable[[], int]) -> None:
        self.edge = edge
        self.name = edge.name
        self.now_ns = now_ns
        self.on_data: Callable[[], None] = _nothing
        self.on_abandoned: Callable[[], None] = _nothing
        self.on_lost: Callable[[Channel, Packet, str], None] = _nothing
        """Told of every packet that is dropped, coalesced or stale."""
        self.closed = False
        self.abandoned = False
        self.generation = 0
        self.taken = 0
        self.accepted = self.dropped = self.coalesced = self.stale = self.discarded = 0
        self.dropped_seconds = 0.0
        self._queue: deque[Packet] = deque()
        self._media = 0.0
        self._marks = 0
        self._late_items, self._late_seconds = 0, 0.0
        self._turn = asyncio.Lock()
        self._room: asyncio.Future[None] | None = None
        self._waiting = 0

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def front(self) -> Packet | None:
        """The packet that is next, still in the queue."""
        return self._queue[0] if self._queue else None

    @property
    def exhausted(self) -> bool:
        """No packet is left and none will come."""
        return self.closed and not self._queue

    # -- writing -----------------------------------------------------------------------------

    def offer(self, packet: Packet) -> bool:
        """Take the packet in, or drop according to the policy; False if the sender must wait."""
        if self._refuses(packet):
            return True
        if self._waiting:
            return False
        if not self._fits(packet):
            policy = self.edge.queue.when_full
            if policy == "drop_newest":
                self._late_items += 1 + packet.gap_items
                self._late_seconds += packet.duration + packet.gap_seconds
                self.dropped += 1
                self.dropped_seconds += packet.duration
                self.on_lost(self, packet, "dropped")
                return True
            if policy == "error":
                raise NodeError(
                    f"The edge {self.name} is full.",
                    code="edge.overflow",
                    hint="Give it a larger `max`, another `when_full`, or a faster reader.",
                )
            if policy == "drop_oldest":
                while not self._fits(packet):
                    self._drop_front()
            elif policy == "coalesce":
                self._coalesce(packet)
            if not self._fits(packet):
                return False
        self._append(packet)
        return True

    async def put(self, packet: Packet) -> None:
        """Like :meth:`offer`, but waits for room, first come first served."""
        self._waiting += 1
        try:
            async with self._turn:
                while not self._refuses(packet):
                    if self._fits(packet):
                        self._append(packet)
                        return
                    await self._wait_for_room()
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """No more packets will be written; what is queued can still be read."""
        self.closed = True
        self.on_data()

    # -- reading -----------------------------------------------------------------------------

    def take(self) -> Packet:
        """The next packet. The caller has checked that there is one."""
        packet = self._pop()
        self.taken += 1
        self._make_room()
        return packet

    def late_gap(self) -> tuple[int, float]:
        """What was dropped behind the last packet: (items, seconds); asked once, at the end."""
        gap = (self._late_items, self._late_seconds)
        self._late_items, self._late_seconds = 0, 0.0
        return gap

    def abandon(self) -> None:
        """The reader is gone: everything queued and everything to come is discarded."""
        if not self.abandoned:
            self.abandoned = True
            self.discarded += len(self._queue)
            self._queue.clear()
            self._media, self._marks = 0.0, 0
            self._make_room()
            self.on_abandoned()

    def purge(self, generation: int) -> None:
        """Drop interruptible packets of generations before ``generation``."""
        self.generation = max(self.generation, generation)
        kept = deque(packet for packet in self._queue if not self._is_stale(packet))
        self.stale += len(self._queue) - len(kept)
        for packet in self._queue:
            if self._is_stale(packet):
                self.on_lost(self, packet, "stale")
        self._queue = kept
        self._media = sum(packet.duration for packet in kept)
        self._make_room()

    def stats(self) -> ChannelStats:
        front = self.front
        return ChannelStats(
            name=self.name,
            depth=len(self._queue),
            media=self._media,
            oldest=(self.now_ns() - front.queued_ns) / 1e9 if front else 0.0,
            accepted=self.accepted,
            dropped=self.dropped,
            dropped_seconds=self.dropped_seconds,
            coalesced=self.coalesced,
            stale=self.stale,
            discarded=self.discarded,
            senders_waiting=self._waiting,
        )

    # -- inside ------------------------------------------------------------------------------

    def _is_stale(self, packet: Packet) -> bool:
        return packet.stamp.generation < self.generation and interruptible(packet.value)

    def _refuses(self, packet: Packet) -> bool:
        if self.abandoned or self.closed:
            self.discarded += 1
            return True
        if self._is_stale(packet):
            self.stale += 1
            self.on_lost(self, packet, "stale")
            return True
        return False

    def _fits(self, packet: Packet) -> bool:
        waiting = len(self._queue) - self._marks
        if waiting == 0 or type(packet.value) is Mark:
            return True
        limit = self.edge.queue
        if limit.items is not None and waiting >= limit.items:
            return False
        if limit.seconds is None:
            return True
        span = packet.stamp.seconds - self._queue[0].stamp.seconds
        return max(self._media + packet.duration, span) <= limit.seconds + 1e-9

    def _append(self, packet: Packet) -> None:
        packet.queued_ns = self.now_ns()
        self._queue.append(packet)
        if type(packet.value) is Mark:
            self._marks += 1
        else:
            packet.gap_items += self._late_items
            packet.gap_seconds += self._late_seconds
            self._late_items, self._late_seconds = 0, 0.0
            self._media += packet.duration
            self.accepted += 1
        self.on_data()

    def _pop(self) -> Packet:
        packet = self._queue.popleft()
        self._media = self._media - packet.duration if self._queue else 0.0
        self._marks -= type(packet.value) is Mark
        return packet

    def _drop_front(self) -> None:
        if type(self._queue[0].value) is Mark:
            mark = self._queue.popleft()
            self._drop_front()
            self._queue.appendleft(mark)
            return
        packet = self._pop()
        self.dropped += 1
        self.dropped_seconds += packet.duration
        self.on_lost(self, packet, "dropped")
        self._pass_gap_on(packet.gap_items + 1, packet.gap_seconds + packet.duration)

    def _pass_gap_on(self, items: int, seconds: float) -> None:
        """Tell the first packet with data of its own, or else the next to come."""
        for packet in self._queue:
            if type(packet.value) is not Mark:
                packet.gap_items += items
                packet.gap_seconds += seconds
                return
        self._late_items += items
        self._late_seconds += seconds

    def _coalesce(self, newer: Packet) -> None:
        key = _coalesce_key(newer)
        if key is None:
            return
        kept = deque(packet for packet in self._queue if _coalesce_key(packet) != key)
        self.coalesced += len(self._queue) - len(kept)
        for packet in self._queue:
            if _coalesce_key(packet) == key:
                self.on_lost(self, packet, "coalesced")
        self._queue = kept
        self._media = sum(packet.duration for packet in kept)

    async def _wait_for_room(self) -> None:
        self._room = asyncio.get_running_loop().create_future()
        try:
            await self._room
        finally:
            self._room = None

    def _make_room(self) -> None:
        if self._room is not None and not self._room.done():
            self._room.set_result(None)


def _coalesce_key(packet: Packet) -> object:
    """What a newer packet must share to replace an older one; None: never replaced."""
    kind = type(packet.value)
    key = getattr(packet.value, "coalesce_key", kind)
    return None if key is None else (kind, key)
