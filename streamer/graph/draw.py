"""A plan as a Mermaid flowchart, or as text for a terminal."""

from __future__ import annotations

from streamer.graph.plan import Edge, GraphPlan, QueueSpec

__all__ = ["describe_queue", "draw_mermaid", "draw_text"]


def describe_queue(queue: QueueSpec) -> str:
    """Such as ``2 s or 20 items, drop_oldest``."""
    limits = []
    if queue.seconds is not None:
        limits.append(f"{queue.seconds:g} s")
    if queue.items is not None:
        limits.append(f"{queue.items} items")
    return f"{' or '.join(limits) or 'unbounded'}, {queue.when_full}"


def draw_mermaid(plan: GraphPlan) -> str:
    """Boxes are nodes; rounded ones were put in by the loader; dotted edges are feedback."""
    ids = {name: f"n{index}" for index, name in enumerate(plan.nodes)}
    rows = ["flowchart LR"]
    for name, node in plan.nodes.items():
        label = f"<b>{name}</b><br/>{node.cls.kind or node.cls.__name__}"
        rows.append(f'    {ids[name]}("{label}")' if node.cls.converts else
                    f'    {ids[name]}["{label}"]')  # fmt: skip
    for edge in plan.edges:
        arrow = "-.->" if edge.feedback else "-->"
        label = f"{edge.out.name}: {edge.out.type_name}<br/>{describe_queue(edge.queue)}"
        rows.append(f'    {ids[edge.source]} {arrow}|"{label}"| {ids[edge.target]}')
    return "\n".join(rows) + "\n"


def draw_text(plan: GraphPlan) -> str:
    """Each node in the order of the flow, with its outgoing edges below it."""
    rows = []
    for name in _in_order(plan):
        rows.append(f"{name}  ({plan.nodes[name].cls.kind or plan.nodes[name].cls.__name__})")
        rows += [f"  {_edge_line(edge)}" for edge in plan.edges if edge.source == name]
    return "\n".join(rows) + "\n"


def _edge_line(edge: Edge) -> str:
    back = "  feedback" if edge.feedback else ""
    return (
        f"{edge.out.name} -> {edge.target}.{edge.port.name}"
        f"  {edge.out.type_name}  [{describe_queue(edge.queue)}]{back}"
    )


def _in_order(plan: GraphPlan) -> list[str]:
    """Names so that a node comes after those that feed it."""
    waiting = dict.fromkeys(plan.nodes, 0)
    for edge in plan.edges:
        waiting[edge.target] += not edge.feedback
    ready = [name for name, count in waiting.items() if not count]
    for name in ready:
        for edge in plan.edges:
            if edge.source == name and not edge.feedback:
                waiting[edge.target] -= 1
                if not waiting[edge.target]:
                    ready.append(edge.target)
    return ready
