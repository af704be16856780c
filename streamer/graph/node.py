"""The base class of every node, and what a node may ask of its surroundings."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, ClassVar, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict

from streamer.graph.ports import Out, PortSpec, ports_of
from streamer.graph.resources import Resources
from streamer.packets import Stamp

__all__ = ["Context", "Format", "Node", "NodeConfig", "Source"]

R = TypeVar("R")
Format = Mapping[str, Any]


class NodeConfig(BaseModel):
    """Base of a node's settings: unknown keys are refused, values do not change later."""

    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)


class Context(Protocol):
    """What the engine offers a running node as ``self.ctx``."""

    name: str
    """The node's name in the graph."""
    session: str
    """Which session of the graph this is; empty when there is one."""
    resources: Resources
    """Engines shared by all sessions: models, worker pools."""
    local: Mapping[str, Any]
    """Objects of this session alone that its host put there, such as a client's connection."""
    log: logging.Logger
    stopping: asyncio.Event
    """Set when a graceful stop was asked for; a source returns from ``run`` soon after."""

    @property
    def generation(self) -> int:
        """The current generation; packets of an older one are stale."""

    @property
    def stamp(self) -> Stamp:
        """The stamp of the packet being processed."""

    def connected(self, port: str) -> bool:
        """Whether anything is connected to this input."""

    def now_ns(self) -> int:
        """Monotonic nanoseconds of the loop's clock (virtual in tests)."""

    async def call(self, fn: Callable[..., R], *args: Any) -> R:
        """Run blocking ``fn`` on a worker thread; the loop stays free meanwhile."""

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run ``work`` beside the node; its failure is the node's, and it ends with it."""

    def trace(self, step: str, times: tuple[float, float, float], stamp: Stamp | None) -> None:
        """Record work beside ``process``: when it was asked for, begun, ended (s, loop clock)."""

    def report(self, error: BaseException) -> None:
        """Show an error that the node survives."""

    async def mark(self, mark: str) -> None:
        """Send a mark behind everything this node has sent (for sources)."""

    async def interrupt(self) -> int:
        """Raise the generation of the whole session once; everything older is dropped."""

    @property
    def paused(self) -> bool:
        """Playback stands still at the next block and loses nothing."""

    def pause(self, paused: bool) -> None:
        """Let playback of the whole session stand still, or go on; an interruption ends it."""


class Node:
    """A stage of a graph.

    Subclasses set ``kind`` (the name used in YAML), declare ports and a ``Config``, and
    implement ``process`` (one input) or ``process_<port>`` for each input. Packets arrive one
    at a time; the next waits until the method returns, which is what makes back-pressure work.
    """

    kind: ClassVar[str] = ""
    converts: ClassVar[type | None] = None
    """A payload type whose format this node can change; makes it a converter."""

    class Config(NodeConfig):
        pass

    outside: ClassVar[bool] = False
    """Whether its packets come of more than its inputs: a device, the network, the time of day.

    A replay sends what such a node sent when it was recorded, and does not run it.
    """

    ctx: Context

    def __init__(self, config: Any = None) -> None:
        self.config: Any = self.Config() if config is None else config
        for name in ports_of(type(self))[1]:
            setattr(self, name, Out())

    @classmethod
    def needs(cls, config: Any) -> Mapping[str, Format]:
        """Per input port, the format it must have, such as ``{"rate": 16000}``."""
        return {}

    @classmethod
    def gives(cls, config: Any) -> Mapping[str, Format]:
        """Per output port, the format it will have, as far as the settings tell."""
        return {}

    async def start(self) -> None:
        """Load models, open files. Called before any packet, again after a restart."""

    async def finish(self) -> None:
        """All inputs have ended and are empty: send what is still held back."""

    async def close(self) -> None:
        """Release everything. Always called, after failures too."""

    async def on_gap(self, port: str, seconds: float, items: int) -> None:
        """``items`` packets (``seconds`` of media) were dropped before the next packet."""

    async def on_interrupt(self, generation: int) -> None:
        """The generation rose: forget work in progress."""

    async def on_mark(self, mark: str) -> None:
        """Everything sent before the mark has come in on every input: finish it now.

        Called before the mark goes on to the outputs, so what is sent here is still ahead of it.
        """

    async def on_flush(self) -> None:
        """Throw away what is buffered, keep running."""

    @classmethod
    def ports(cls) -> tuple[dict[str, PortSpec], dict[str, PortSpec]]:
        return ports_of(cls)


class Source(Node):
    """A node without inputs that produces until it ends or ``ctx.stopping`` is set."""

    outside = True
    live: ClassVar[bool] = False
    """Whether it cannot be held back, like a microphone: its edges must drop, not block."""

    duration: float | None = None
    """Seconds of media there will be, if known once started; for progress display."""

    async def run(self) -> None:
        """Produce; returning ends the stream."""
        raise NotImplementedError
