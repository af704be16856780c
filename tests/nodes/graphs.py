"""Short graphs on the real engine, with a list at the end."""

from __future__ import annotations

import asyncio
from typing import Any

from streamer.graph import (
    Edge,
    Engine,
    GraphPlan,
    In,
    Node,
    NodePlan,
    QueueSpec,
    RestartSpec,
    Source,
)
from streamer.packets import Stamp

RATE = 16000


class Scripted(Source):
    """Sends what ``local["script"]`` says: (seconds, port, value). Subclasses have the ports."""

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        begin = loop.time()
        for when, port, value in self.ctx.local["script"]:
            await asyncio.sleep(max(0.0, begin + when - loop.time()))
            stamp = Stamp("s", int(when * RATE), RATE, self.ctx.now_ns(), self.ctx.generation)
            await getattr(self, port).send(value, stamp)


class Collect(Node):
    """Keeps what it gets, with stamps."""

    kind = "test.collect"
    items: In[Any]

    async def process(self, value: Any) -> None:
        self.ctx.local["got"].append((value, self.ctx.stamp))


def chain(
    *stages: tuple[type[Node], dict[str, Any]],
    restart: RestartSpec | None = None,
    queue: QueueSpec | None = None,
) -> tuple[Engine, list[Any]]:
    """The stages in a row; returns the engine and the list that fills while it runs."""
    got: list[Any] = []
    rule = restart or RestartSpec()
    nodes = {f"n{i}": NodePlan(f"n{i}", c, c.Config(**s), rule) for i, (c, s) in enumerate(stages)}
    nodes["collect"] = NodePlan("collect", Collect, Collect.Config())
    names = list(nodes)
    edges = [
        Edge(
            a,
            next(iter(nodes[a].cls.ports()[1].values())),
            b,
            next(iter(nodes[b].cls.ports()[0].values())),
            queue or QueueSpec(),
        )
        for a, b in zip(names, names[1:], strict=False)
    ]
    return Engine(GraphPlan("test", nodes, edges), local={"got": got}), got
