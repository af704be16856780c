"""Short graphs on the real engine, with a list at the end."""

from __future__ import annotations

from typing import Any

from streamer.graph import Edge, Engine, GraphPlan, In, Node, NodePlan, QueueSpec, RestartSpec


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
