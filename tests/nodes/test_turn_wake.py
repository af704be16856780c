"""The wake word gate in a graph on virtual time."""

from __future__ import annotations

from typing import Any

from streamer.graph import Edge, Engine, GraphPlan, NodePlan, Out, QueueSpec
from streamer.graph.virtual import run
from streamer.nodes.turn_wake import TurnWake
from streamer.packets import AudioEvent, Played, ReplyText, UserTurn
from tests.nodes.graphs import Collect, Scripted


class Script(Scripted):
    turn: Out[UserTurn]
    wake: Out[AudioEvent]
    reply: Out[ReplyText]
    played: Out[Played]


def play(script: list[tuple[float, str, Any]], **settings: Any) -> list[tuple[str, float]]:
    classes = {"script": Script, "gate": TurnWake, "collect": Collect}
    nodes = {
        name: NodePlan(name, cls, cls.Config(**(settings if name == "gate" else {})))  # type: ignore[attr-defined]
        for name, cls in classes.items()
    }
    outs, ins = Script.ports()[1], TurnWake.ports()[0]
    edges = [
        Edge("script", outs[port], "gate", ins[port], QueueSpec())
        for port in ("turn", "wake", "reply", "played")
    ]
    meant, items = TurnWake.ports()[1]["meant"], Collect.ports()[0]["items"]
    edges.append(Edge("gate", meant, "collect", items, QueueSpec()))
    got: list[Any] = []
    engine = Engine(GraphPlan("t", nodes, edges), local={"script": script, "got": got})
    run(engine.run())
    assert not engine.reports
    return [(turn.text, round(stamp.seconds, 3)) for turn, stamp in got]


def wake(when: float, start: float, end: float) -> tuple[float, str, AudioEvent]:
    return (when, "wake", AudioEvent("keyword", "computer", "instant", start, end, 0.9))


def turn(when: float, text: str, start: float, end: float) -> tuple[float, str, UserTurn]:
    return (when, "turn", UserTurn(int(when), text, start, end))


def test_only_what_follows_the_wake_word_passes_and_keeps_its_stamp() -> None:
    script = [
        turn(2.0, "What time is it?", 1.0, 1.8),
        wake(4.5, 3.5, 4.0),
        turn(5.0, "Computer, stop.", 3.4, 4.6),
        wake(7.0, 6.0, 6.4),
        turn(7.1, "Computer.", 6.0, 6.5),
        turn(9.0, "Turn on the light.", 8.0, 8.8),
        turn(20.0, "Who are you?", 18.0, 19.0),
    ]
    assert play(script) == [("Stop.", 5.0), ("Turn on the light.", 9.0)]


def test_a_turn_waits_for_the_news_of_its_wake_word() -> None:
    script = [turn(2.0, "Computer, stop.", 1.0, 1.8), wake(2.5, 1.0, 1.5)]
    assert play(script) == [("Stop.", 2.0)]
    assert play(script, patience="300ms") == []


def test_the_assistant_does_not_wake_itself() -> None:
    script: list[tuple[float, str, Any]] = [
        (1.0, "reply", ReplyText(0, "I am a compu")),
        (1.1, "reply", ReplyText(0, "ter, and I can help.", last=True)),
        wake(3.0, 2.0, 2.5),
        turn(3.5, "A computer and I.", 1.9, 3.0),
        (4.0, "played", Played(0, "I am a computer", 3.0, "done")),
        wake(6.0, 5.0, 5.5),
        turn(7.0, "What time is it?", 6.0, 6.5),
    ]
    assert play(script) == [("What time is it?", 7.0)]


def test_a_follow_up_needs_no_wake_word() -> None:
    script: list[tuple[float, str, Any]] = [
        wake(2.0, 1.0, 1.5),
        turn(3.0, "What time is it?", 1.8, 2.5),
        (5.0, "played", Played(3, "It is noon.", 1.0, "done")),
        turn(8.0, "And in Rome?", 6.5, 7.0),
        turn(30.0, "And in Paris?", 28.0, 29.0),
    ]
    assert play(script, window="1s", follow_up="4s") == [
        ("What time is it?", 3.0),
        ("And in Rome?", 8.0),
    ]
    assert play(script, window="1s") == [("What time is it?", 3.0)]
