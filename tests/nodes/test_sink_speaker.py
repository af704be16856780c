"""``sink.speaker`` with the real voice and a device that a task turns at the pace of sound."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

from streamer.errors import DeviceError
from streamer.graph import Edge, Engine, GraphPlan, NodePlan, QueueSpec
from streamer.nodes.sink_speaker import SinkSpeaker
from streamer.nodes.tts_speak import TtsSpeak
from streamer.packets import Played
from tests.audio.fake_portaudio import FakePortAudio
from tests.nodes.graphs import Collect
from tests.nodes.test_tts import ANSWER, Writer


def graph(**config: Any) -> GraphPlan:
    nodes = {
        "writer": NodePlan("writer", Writer, Writer.Config()),
        "tts": NodePlan("tts", TtsSpeak, TtsSpeak.Config()),
        "sink": NodePlan("sink", SinkSpeaker, SinkSpeaker.Config(**config)),
        "played": NodePlan("played", Collect, Collect.Config()),
    }

    def edge(a: str, out: str, b: str, into: str) -> Edge:
        ends = nodes[a].cls.ports()[1][out], nodes[b].cls.ports()[0][into]
        return Edge(a, ends[0], b, ends[1], QueueSpec())

    edges = [
        edge("writer", "text", "tts", "text"),
        edge("tts", "audio", "sink", "audio"),
        edge("sink", "played", "played", "items"),
    ]
    return GraphPlan("test", nodes, edges)


async def turn(backend: FakePortAudio, heard: list[tuple[float, np.ndarray]]) -> None:
    """Takes 10 ms every 10 ms, as a device does."""
    loop = asyncio.get_running_loop()
    due = loop.time()
    while True:
        due += 0.01
        await asyncio.sleep(due - loop.time())
        if backend.streams:
            heard.append((loop.time(), backend.streams[0].listen()))


def test_an_interruption_is_silent_at_once_and_the_next_answer_is_heard() -> None:
    async def main() -> None:
        backend, heard, got = FakePortAudio(), list[tuple[float, np.ndarray]](), list[Any]()
        cut: list[float] = []

        def script() -> Any:
            yield 0, 0, ANSWER, False
            yield 1.2, 0, " More and more of it.", True
            cut.append(asyncio.get_running_loop().time())
            yield ("interrupt",)
            yield 0.4, 1, "Yes.", True

        local = {"got": got, "script": script(), "portaudio": backend}
        engine = Engine(graph(), local=local)
        device = asyncio.create_task(turn(backend, heard))
        await engine.run()
        device.cancel()
        played = [value for value, _ in got if isinstance(value, Played)]
        first = [p for p in played if p.turn == 0]
        assert [p.state for p in first][:: len(first) - 1] == ["start", "interrupted"]
        assert first[-1].text and ANSWER.startswith(first[-1].text) and first[-1].text != ANSWER
        assert any(s.any() for at, s in heard if at < cut[0])
        after = [s for at, s in heard if cut[0] + 0.05 < at < cut[0] + 0.35]
        assert len(after) > 10 and not np.concatenate(after).any()
        assert [(p.state, p.text) for p in played if p.turn == 1][-1] == ("done", "Yes.")
        assert any(s.any() for at, s in heard if at > cut[0] + 0.4)
        assert backend.streams[0].closed and len(backend.streams) == 1

    asyncio.run(main())


def test_without_the_device_the_graph_does_not_even_start() -> None:
    async def main() -> None:
        local = {"got": [], "script": [], "portaudio": FakePortAudio()}
        with pytest.raises(DeviceError) as caught:
            await Engine(graph(device="Bose"), local=local, on_report=lambda r: None).run()
        assert caught.value.code == "device.not-found" and "Speaker" in caught.value.hint

    asyncio.run(main())
