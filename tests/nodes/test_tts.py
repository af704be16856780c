"""Speaking and playing on the real engine and the real voice, on a virtual clock."""

from __future__ import annotations

import asyncio
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streamer.graph import Edge, Engine, GraphPlan, NodePlan, Out, QueueSpec, Source
from streamer.graph.virtual import run
from streamer.nodes.sink_wav import SinkWav
from streamer.nodes.tts_speak import TtsSpeak
from streamer.packets import AudioFrame, Played, ReplyText, SpokenAudio, Stamp
from tests.nodes.graphs import Collect

ANSWER = "The ship sailed at half past nine. It was a fine morning, and nobody knew."


class Writer(Source):
    """Writes answers; ``script`` is a list of (wait, turn, text, last) and ("interrupt",)."""

    kind = "test.writer"
    text: Out[ReplyText]

    async def run(self) -> None:
        for step in self.ctx.local["script"]:
            if step[0] == "interrupt":
                await self.ctx.interrupt()
                continue
            wait, turn, text, last = step
            await asyncio.sleep(wait)
            stamp = Stamp(generation=self.ctx.generation)
            await self.text.send(ReplyText(turn, text, last), stamp)


def speak(path: Path, script: list[Any], pace: str = "realtime") -> dict[str, list[Any]]:
    nodes = {
        "writer": NodePlan("writer", Writer, Writer.Config()),
        "tts": NodePlan("tts", TtsSpeak, TtsSpeak.Config()),
        "wav": NodePlan("wav", SinkWav, SinkWav.Config(path=str(path), pace=pace)),
        "spoken": NodePlan("spoken", Collect, Collect.Config()),
        "played": NodePlan("played", Collect, Collect.Config()),
    }

    def edge(a: str, out: str, b: str, into: str, queue: QueueSpec) -> Edge:
        return Edge(a, nodes[a].cls.ports()[1][out], b, nodes[b].cls.ports()[0][into], queue)

    unlimited = QueueSpec(seconds=None, items=100_000)
    edges = [
        edge("writer", "text", "tts", "text", QueueSpec()),
        edge("tts", "audio", "wav", "audio", QueueSpec()),
        edge("tts", "audio", "spoken", "items", unlimited),
        edge("wav", "played", "played", "items", unlimited),
        edge("wav", "reference", "played", "items", unlimited),
    ]
    got: list[Any] = []
    engine = Engine(GraphPlan("test", nodes, edges), local={"got": got, "script": script})
    run(engine.run())
    values = [value for value, _ in got]
    return {
        kind.__name__: [v for v in values if isinstance(v, kind)]
        for kind in (SpokenAudio, Played, AudioFrame)
    }


def tokens(turn: int, text: str) -> list[Any]:
    words = text.split(" ")
    steps: list[Any] = [(0.03, turn, w + " ", False) for w in words]
    return [*steps, (0.0, turn, "", True)]


def samples(path: Path) -> tuple[np.ndarray, int]:
    with wave.open(str(path)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), "<i2"), file.getframerate()


def test_an_answer_word_by_word(tmp_path: Path) -> None:
    got = speak(tmp_path / "a.wav", tokens(0, ANSWER))
    spoken, played = got["SpokenAudio"], got["Played"]
    assert [s.last for s in spoken] == [False] * (len(spoken) - 1) + [True]
    assert {s.clause for s in spoken[:-1]} == {0, 1}
    said = " ".join(w.text for s in spoken for w in s.words)
    assert said == ANSWER
    starts = [w.start for s in spoken for w in s.words]
    assert starts == sorted(starts)
    for s in spoken[:-1]:
        for w in s.words:
            assert s.start - 1e-6 <= w.start <= s.start + s.duration + 0.2
    assert [p.state for p in played][0] == "start" and played[-1].state == "done"
    assert played[-1].text == ANSWER
    texts = [p.text for p in played]
    assert all(b.startswith(a) for a, b in zip(texts, texts[1:], strict=False))
    sound, rate = samples(tmp_path / "a.wav")
    assert len(sound) == sum(s.samples.shape[0] for s in spoken)
    assert played[-1].seconds == pytest.approx(len(sound) / rate)
    frames = got["AudioFrame"]
    heard = np.concatenate([f.samples[:, 0] for f in frames])
    assert np.abs(heard - np.concatenate([s.samples for s in spoken])).max() == 0
    assert all(a.end == b.start for a, b in zip(frames, frames[1:], strict=False))


def test_the_whole_text_at_once_sounds_the_same(tmp_path: Path) -> None:
    speak(tmp_path / "a.wav", tokens(0, ANSWER), "fast")
    speak(tmp_path / "b.wav", [(0, 0, ANSWER + " ", True)], "fast")
    assert np.array_equal(samples(tmp_path / "a.wav")[0], samples(tmp_path / "b.wav")[0])


def test_an_interruption_silences_and_keeps_what_was_heard(tmp_path: Path) -> None:
    script = [(0, 0, ANSWER, False), (1.0, 0, " More and more of it.", True), ("interrupt",)]
    script += [(0.5, 1, "Yes, of course.", True)]
    got = speak(tmp_path / "a.wav", script)
    played = got["Played"]
    first = [p for p in played if p.turn == 0]
    assert first[-1].state == "interrupted"
    assert first[-1].seconds == pytest.approx(1.0, abs=0.05)
    assert first[-1].text and ANSWER.startswith(first[-1].text)
    assert first[-1].text != ANSWER
    second = [p for p in played if p.turn == 1]
    assert second[-1].state == "done" and second[-1].text == "Yes, of course."
    sound, rate = samples(tmp_path / "a.wav")
    assert len(sound) / rate == pytest.approx(first[-1].seconds + second[-1].seconds)


def test_nothing_speakable_is_a_finished_answer_without_sound(tmp_path: Path) -> None:
    got = speak(tmp_path / "a.wav", [(0, 0, "👍 你好", True)])
    assert [p.state for p in got["Played"]] == ["done"]
    assert got["Played"][0].seconds == 0 and got["Played"][0].text == ""


def test_ten_thousand_characters_are_held_back_by_the_listener(tmp_path: Path) -> None:
    text = ("A fairly long sentence about nothing at all. " * 230)[:10_000]
    got = speak(tmp_path / "a.wav", [(0, 0, text, True)], "fast")
    assert got["Played"][-1].state == "done"
    assert got["Played"][-1].text.startswith("A fairly long sentence")
    assert sum(len(s.words) for s in got["SpokenAudio"]) == len(text.split())
