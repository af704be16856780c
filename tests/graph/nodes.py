"""Small nodes and a shorthand for plans, for the engine's tests."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from streamer.graph import Edge, GraphPlan, In, Node, NodePlan, Out, QueueSpec, RestartSpec, Source
from streamer.packets import Stamp


@dataclass(frozen=True)
class Item:
    """A numbered packet of 20 ms."""

    number: int
    duration: float = 0.02


class Count(Source):
    """Sends ``Item(0)``.. every ``every`` s; ``every=0`` as fast as it is let."""

    out: Out[Item]
    every = 0.0
    total = 10

    def __init__(self, config: Any = None) -> None:
        super().__init__(config)
        self.sent = 0

    async def run(self) -> None:
        while self.sent < self.total and not self.ctx.stopping.is_set():
            if self.every:
                await asyncio.sleep(self.every)
            await self.out.send(Item(self.sent), stamp_of(self, self.sent))
            self.sent += 1


def stamp_of(node: Node, number: int) -> Stamp:
    return Stamp(
        position=(number + 1) * 320,
        captured_ns=node.ctx.now_ns(),
        generation=node.ctx.generation,
    )


class Pass(Node):
    """Hands every item on."""

    inp: In[Item]
    out: Out[Item]

    async def process(self, item: Item) -> None:
        await self.out.send(item)


class Collect(Node):
    """Keeps what arrives, and how it arrived."""

    inp: In[Item] = In(many=True)

    def __init__(self, config: Any = None) -> None:
        super().__init__(config)
        self.items: list[Item] = []
        self.stamps: list[Stamp] = []
        self.ages: list[float] = []
        self.gaps: list[tuple[float, int]] = []
        self.finished = self.closed = False

    async def process(self, item: Item) -> None:
        self.items.append(item)
        self.stamps.append(self.ctx.stamp)
        self.ages.append((self.ctx.now_ns() - self.ctx.stamp.captured_ns) / 1e9)

    async def on_gap(self, port: str, seconds: float, items: int) -> None:
        self.gaps.append((seconds, items))

    async def finish(self) -> None:
        self.finished = True

    async def close(self) -> None:
        self.closed = True


def make_plan(
    nodes: dict[str, type[Node]],
    *edges: str,
    queue: QueueSpec | None = None,
    queues: dict[str, QueueSpec] | None = None,
    restart: dict[str, RestartSpec] | None = None,
    feedback: tuple[str, ...] = (),
    stall_after: float = 10.0,
) -> GraphPlan:
    """A plan from ``"a.out -> b.inp"`` strings."""
    made = []
    for text in edges:
        left, right = text.split(" -> ")
        (source, out), (target, inp) = left.split("."), right.split(".")
        made.append(
            Edge(
                source,
                nodes[source].ports()[1][out],
                target,
                nodes[target].ports()[0][inp],
                (queues or {}).get(text, queue or QueueSpec()),
                text in feedback,
            )
        )
    plans = {
        name: NodePlan(name, cls, cls.Config(), (restart or {}).get(name, RestartSpec()))
        for name, cls in nodes.items()
    }
    return GraphPlan("test", plans, made, stall_after)


class Fault(Exception):
    """Raised on purpose."""
