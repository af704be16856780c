"""A checked graph, ready to run: what the YAML loader makes and the engine takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from streamer.graph.node import Node
from streamer.graph.ports import PortSpec

__all__ = ["Edge", "GraphPlan", "NodePlan", "Policy", "QueueSpec", "RestartSpec"]

Policy = Literal["block", "drop_oldest", "drop_newest", "coalesce", "error"]


@dataclass(frozen=True, slots=True)
class QueueSpec:
    """The bound of an edge and what happens when it is reached.

    ``seconds`` limits media time, ``items`` limits packets; None means no such limit, and both
    None is an unbounded edge, which must be asked for (``max: unbounded``). One packet is
    always admitted to an empty edge, however long it is.

    - ``block``: the sender waits: back-pressure, up to the source.
    - ``drop_oldest`` / ``drop_newest``: counted, and told to the reader as a gap.
    - ``coalesce``: a newer packet of the same type replaces the waiting one (partials).
    - ``error``: the sender fails with ``edge.overflow``.
    """

    seconds: float | None = 0.4
    items: int | None = None
    when_full: Policy = "block"


@dataclass(frozen=True, slots=True)
class RestartSpec:
    """What to do when a node fails: at most ``limit`` restarts ``within`` seconds.

    Waits ``backoff`` s before the first attempt, doubling up to ``backoff_max``.
    """

    policy: Literal["never", "on_failure"] = "never"
    limit: int = 3
    within: float = 60.0
    backoff: float = 0.1
    backoff_max: float = 5.0


@dataclass(frozen=True, slots=True)
class NodePlan:
    """One node: its class, its settings, how it is restarted, where it was written."""

    name: str
    cls: type[Node]
    config: Any
    restart: RestartSpec = field(default_factory=RestartSpec)
    where: str = ""


@dataclass(frozen=True, slots=True)
class Edge:
    """From an output port to an input port."""

    source: str
    out: PortSpec
    target: str
    port: PortSpec
    queue: QueueSpec = field(default_factory=QueueSpec)
    feedback: bool = False

    @property
    def name(self) -> str:
        return f"{self.source}.{self.out.name} -> {self.target}.{self.port.name}"


@dataclass(frozen=True, slots=True)
class GraphPlan:
    """A graph whose names, types, formats and cycles have been checked."""

    name: str
    nodes: dict[str, NodePlan]
    edges: Sequence[Edge]
    stall_after: float = 10.0
    """Seconds a packet may wait on an edge before the watchdog names it."""
