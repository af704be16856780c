"""A remote client as the ends of a graph: ``source.session`` and ``sink.session``.

The gateway puts a :class:`SessionPort` into ``ctx.local["session"]``; audio that it feeds comes
out of the source node, and what reaches the sink node it reads as :class:`Delivery` objects.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

from streamer.errors import NodeError
from streamer.graph import In, Node, Out, Source
from streamer.graph.bell import Bell
from streamer.packets import AudioEvent, AudioFrame, Samples, SpeechSpan, Stamp, Transcript

__all__ = ["Delivery", "SessionPort", "SinkSession", "SourceSession"]

Event = Transcript | SpeechSpan | AudioEvent


@dataclass(frozen=True, slots=True)
class Delivery:
    """What the client is told: an event with its stamp, or the id of a finished mark."""

    event: Event | None
    stamp: Stamp
    mark: str = ""


class SessionPort:
    """Bounded hand-over between a connection and its session of the graph.

    At most ``max_audio`` seconds wait on the way in: :meth:`feed` then waits, so a client that
    sends too fast is held back by its own socket. On the way out partials of a segment replace
    each other; when ``max_events`` others wait, the reader is too slow and the session fails.
    """

    def __init__(
        self, *, max_audio: float = 2.0, max_events: int = 1000, rate: int = 16000
    ) -> None:
        self.rate = rate
        self.max_audio = max_audio
        self.max_events = max_events
        self._in: deque[tuple[AudioFrame | str, int]] = deque()
        self._in_seconds = 0.0
        self._out: deque[Delivery] = deque()
        self._position = 0
        self._ended = False
        self._done = False
        self._came, self._room, self._told = Bell(), Bell(), Bell()

    # -- the connection's side ---------------------------------------------------------------

    async def feed(self, samples: Samples, captured_ns: int) -> None:
        """Hand in float32 ``[frames]`` or ``[frames, channels]`` at ``rate``; waits when full."""
        shaped = samples.reshape(-1, 1) if samples.ndim == 1 else samples
        frame = AudioFrame(shaped, self.rate, self._position)
        self._position = frame.end
        while self._in_seconds and not self._done and not self._has_room(frame):
            await self._room.wait()
        if not self._done:
            self._in.append((frame, captured_ns))
            self._in_seconds += frame.duration
            self._came.ring()

    def _has_room(self, frame: AudioFrame) -> bool:
        return self._in_seconds + frame.duration <= self.max_audio

    async def mark(self, mark: str) -> None:
        """Ask for everything fed so far to be finished; answered by a delivery with ``mark``."""
        self._in.append((mark, 0))
        self._came.ring()

    async def end(self) -> None:
        """No more audio: what was fed is finished, then the deliveries end."""
        self._ended = True
        self._came.ring()

    async def deliver(self) -> Delivery | None:
        """The next delivery; None after the last."""
        while not self._out and not self._done:
            await self._told.wait()
        return self._out.popleft() if self._out else None

    async def finish(self) -> None:
        """The graph has ended; called by the session's host."""
        self._done = True
        for bell in (self._came, self._room, self._told):
            bell.ring()

    # -- the graph's side --------------------------------------------------------------------

    async def take(self) -> tuple[AudioFrame | str, int] | None:
        """The next frame with its capture time, or mark; None at the end."""
        while not self._in and not self._ended and not self._done:
            await self._came.wait()
        if not self._in:
            return None
        item, captured_ns = self._in.popleft()
        if isinstance(item, AudioFrame):
            self._in_seconds = max(0.0, self._in_seconds - item.duration) if self._in else 0.0
            self._room.ring()
        return item, captured_ns

    async def push(self, delivery: Delivery) -> None:
        """Queue a delivery; newer partials replace waiting ones of the same segment."""
        event = delivery.event
        if self._out and isinstance(event, Transcript):
            self._out = deque(d for d in self._out if not _replaces(event, d.event))
        if len(self._out) >= self.max_events:
            raise NodeError(
                f"The client has left {len(self._out)} messages unread.",
                code="session.slow-reader",
                hint="Read faster, or reconnect.",
            )
        self._out.append(delivery)
        self._told.ring()


def _replaces(newer: Transcript, older: Event | None) -> bool:
    return isinstance(older, Transcript) and not older.final and older.segment == newer.segment


class SourceSession(Source):
    """Audio that a client of the gateway sends."""

    kind = "source.session"
    audio: Out[AudioFrame]

    async def run(self) -> None:
        port = _port_of(self)
        while (item := await port.take()) is not None:
            value, captured_ns = item
            if isinstance(value, str):
                await self.ctx.mark(value)
                continue
            await self.audio.send(
                value,
                Stamp(self.ctx.session, value.end, port.rate, captured_ns, self.ctx.generation),
            )


class SinkSession(Node):
    """Sends what arrives to the client of the gateway."""

    kind = "sink.session"
    events: In[Transcript | SpeechSpan | AudioEvent] = In(many=True)

    async def process(self, event: Event) -> None:
        await _port_of(self).push(Delivery(event, self.ctx.stamp))

    async def on_mark(self, mark: str) -> None:
        await _port_of(self).push(Delivery(None, self.ctx.stamp, mark))


def _port_of(node: Node) -> SessionPort:
    port: Any = node.ctx.local.get("session")
    if not isinstance(port, SessionPort):
        raise NodeError(
            f"Node {node.ctx.name!r} needs a client: this graph can only be served.",
            code="session.no-client",
            hint="Start it with `streamer serve GRAPH.yaml`.",
        )
    return port
