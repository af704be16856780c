"""Drawings name every node, edge, type and limit."""

from __future__ import annotations

from streamer.graph import GraphPlan, QueueSpec
from streamer.graph.draw import describe_queue, draw_mermaid, draw_text

from .nodes import Collect, Count, Pass, make_plan


def plan() -> GraphPlan:
    nodes = {"out": Collect, "mid": Pass, "src": Count}
    return make_plan(
        nodes,
        "src.out -> mid.inp",
        "mid.out -> out.inp",
        queues={"mid.out -> out.inp": QueueSpec(2.0, 20, "drop_oldest")},
    )


def test_text_follows_the_flow() -> None:
    assert draw_text(plan()) == (
        "src  (Count)\n"
        "  out -> mid.inp  Item  [0.4 s, block]\n"
        "mid  (Pass)\n"
        "  out -> out.inp  Item  [2 s or 20 items, drop_oldest]\n"
        "out  (Collect)\n"
    )


def test_mermaid() -> None:
    assert draw_mermaid(plan()) == (
        "flowchart LR\n"
        '    n0["<b>out</b><br/>Collect"]\n'
        '    n1["<b>mid</b><br/>Pass"]\n'
        '    n2["<b>src</b><br/>Count"]\n'
        '    n2 -->|"out: Item<br/>0.4 s, block"| n1\n'
        '    n1 -->|"out: Item<br/>2 s or 20 items, drop_oldest"| n0\n'
    )


def test_feedback_is_dotted_and_does_not_stop_the_order() -> None:
    looped = make_plan(
        {"a": Pass, "b": Pass}, "a.out -> b.inp", "b.out -> a.inp", feedback=("b.out -> a.inp",)
    )
    assert "n1 -.->" in draw_mermaid(looped)
    assert [row for row in draw_text(looped).splitlines() if row[0] != " "] == [
        "a  (Pass)",
        "b  (Pass)",
    ]


def test_an_unbounded_edge_says_so() -> None:
    assert describe_queue(QueueSpec(None, None)) == "unbounded, block"
