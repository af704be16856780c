"""The turn detector in a graph on virtual time: stamps, interruptions, pauses, its trace."""

from __future__ import annotations

import asyncio
from typing import Any

from streamer.graph import Edge, Engine, GraphPlan, In, Node, NodePlan, Out, QueueSpec
from streamer.graph.virtual import run
from streamer.nodes.turn_detector import TurnDetectorNode
from streamer.packets import Played, SpeechSpan, Transcript, UserTurn
from tests.nodes.graphs import Scripted


class Script(Scripted):
    speech: Out[SpeechSpan]
    transcript: Out[Transcript]


class Assistant(Node):
    """Says that it plays as soon as it is its turn, and notes what reaches it."""

    turn: In[UserTurn]
    played: Out[Played]

    async def process(self, turn: UserTurn) -> None:
        now = asyncio.get_running_loop().time()
        self.ctx.local["got"].append((now, turn, self.ctx.stamp))
        await self.played.send(Played(turn.index, "It is half past", 1.0, "start"))

    async def on_interrupt(self, generation: int) -> None:
        self.ctx.local["got"].append(("interrupt", generation, self.ctx.paused))


def play(script: list[tuple[float, str, Any]]) -> tuple[Engine, list[Any]]:
    classes = {"script": Script, "turn": TurnDetectorNode, "assistant": Assistant}
    nodes = {name: NodePlan(name, cls, cls.Config()) for name, cls in classes.items()}  # type: ignore[attr-defined]

    def edge(source: str, out: str, target: str, port: str, feedback: bool = False) -> Edge:
        ports = classes[source].ports()[1][out], classes[target].ports()[0][port]  # type: ignore[attr-defined]
        return Edge(source, ports[0], target, ports[1], QueueSpec(), feedback)

    edges = [
        edge("script", "speech", "turn", "speech"),
        edge("script", "transcript", "turn", "transcript"),
        edge("turn", "turn", "assistant", "turn"),
        edge("assistant", "played", "turn", "played", feedback=True),
    ]
    got: list[Any] = []
    engine = Engine(GraphPlan("t", nodes, edges), local={"script": script, "got": got})
    run(engine.run())
    assert not engine.reports
    return engine, got


def said(
    text: str, segment: int, start: float, end: float, decoded: float = 0.1
) -> list[tuple[float, str, Any]]:
    """One sentence as VAD and recogniser tell it; the voice is 0.2 s shorter at both ends."""
    return [
        (start + 0.3, "speech", SpeechSpan("start", segment, start)),
        (end, "speech", SpeechSpan("end", segment, start, end, end - 0.2)),
        (end + decoded, "transcript", Transcript(text, start, end, segment, final=True)),
    ]


def test_a_turn_is_stamped_with_the_end_of_its_voice() -> None:
    engine, got = play([*said("What time is it?", 0, 1.0, 2.0)])
    (when, turn, stamp), *_ = got
    assert (turn.index, turn.text, turn.reason) == (0, "What time is it?", "complete sentence")
    assert stamp.session == "s"
    assert abs(stamp.seconds - turn.end) < 1e-3
    assert abs(when - stamp.captured_ns / 1e9 - 0.3) < 0.01, "0.2 s of silence, 0.1 s of decoding"
    tracks = [track.name for track in engine.recorder.tracks]
    assert "turn: turn: complete sentence" in tracks


def test_silence_alone_decides_when_nothing_more_comes() -> None:
    _, got = play([*said("Turn on the", 0, 1.0, 2.0), (9.0, "speech", SpeechSpan("start", 1, 9.0))])
    when, turn, stamp = got[0]
    assert turn.reason == "incomplete sentence"
    assert abs(when - stamp.captured_ns / 1e9 - 1.5) < 0.01


def test_an_interruption_raises_the_generation_once_and_ends_the_pause() -> None:
    engine, got = play([*said("What time is it?", 0, 1.0, 2.0), *said("No, stop it.", 1, 4.0, 5.0)])
    assert [type(item[1]).__name__ for item in got] == ["UserTurn", "int", "UserTurn"]
    assert engine.generation == 1 and not engine.paused
    assert got[1] == ("interrupt", 1, False)
    assert got[2][1].text == "No, stop it." and got[2][2].generation == 1


def test_a_nod_pauses_and_goes_on() -> None:
    engine, got = play([*said("What time is it?", 0, 1.0, 2.0), *said("Okay.", 1, 4.0, 4.6)])
    assert len(got) == 1 and engine.generation == 0 and not engine.paused
    tracks = [track.name for track in engine.recorder.tracks]
    assert "turn: pause: speech" in tracks and "turn: resume: back-channel" in tracks


def test_the_end_of_the_stream_leaves_nothing_behind() -> None:
    engine, got = play(
        [*said("What time is it?", 0, 1.0, 2.0), (4.0, "speech", SpeechSpan("start", 1, 3.8))]
    )
    assert len(got) == 1 and not engine.paused
