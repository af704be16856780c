"""The shipped assistant talks with a synthetic person: real VAD, recogniser, brain and voice."""

from __future__ import annotations

import asyncio
import random
import re
import wave
from pathlib import Path

import numpy as np
import pytest
import soxr

from streamer.graph import Engine, virtual
from streamer.graph.build import load_graph
from streamer.nodes import registry
from streamer.packets import Samples

pytest.importorskip("hibari")
from tools import bench_assistant as bench  # noqa: E402
from tools.bench_assistant import Stage  # noqa: E402

ROOT = Path(__file__).parent.parent


def test_the_shipped_question_is_answered_and_the_timeline_ends_with_the_latency(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "answer.wav"
    variables = {
        "SOURCE": str(ROOT / "graphs" / "samples" / "question.flac"),
        "OUT": str(out),
    }
    plan = load_graph(ROOT / "graphs" / "assistant.yaml", registry(), variables=variables)
    asyncio.run(Engine(plan).run())
    lines = capfd.readouterr().out.splitlines()
    assert lines[0] == 'turn 0: "What time is it?"'
    steps = [line.split("  ")[1] for line in lines[1:5]]
    assert steps == ["end of speech", "turn decided", "first token", "first audio"]
    times = [int(found[1]) for line in lines[1:5] if (found := re.search(r"(\d+) ms", line))]
    assert times == sorted(times) and times[0] == 0
    assert re.fullmatch(r"voice-to-voice: \d+ ms", lines[-1])
    assert times[-1] == int(re.findall(r"\d+", lines[-1])[0])
    assert times[-1] < 3000, "a loaded machine may be slow, but not that slow"
    assert "It is" in lines[-2]
    with wave.open(str(out)) as file:
        assert file.getnframes() / file.getframerate() > 1
        sound = np.frombuffer(file.readframes(file.getnframes()), np.int16)
    assert np.abs(sound).max() > 1000


def test_every_question_is_one_turn_and_is_answered_once() -> None:
    found = []

    async def script(stage: Stage, engine: Engine) -> None:
        await asyncio.sleep(0.5)
        for text in bench.QUESTIONS[:3]:
            found.append(await bench.ask(stage, text, 0.92))
            await asyncio.sleep(0.3)

    engine = virtual.run(bench.play(script))
    assert None not in found and len(found) == 3
    assert all(answer.audio < 500 for answer in found if answer)
    assert engine.generation == 0 and not engine.reports


def test_interruptions_silence_it_at_once_and_the_dialogue_keeps_what_was_heard(
    tmp_path: Path,
) -> None:
    found = []
    out = tmp_path / "talk.wav"
    sounds: list[int] = []

    async def script(stage: Stage, engine: Engine) -> None:
        rng = random.Random(1)
        await asyncio.sleep(0.5)
        for _ in range(3):
            found.append(await bench.barge_in(stage, rng))
            sounds.append(sum(len(frame.samples) for _, frame in stage.sound))
            await asyncio.sleep(0.5)

    engine = virtual.run(bench.play(script, str(out)))
    assert None not in found and len(found) == 3
    for barge_in in found:
        assert barge_in is not None
        assert barge_in.silence <= 250, "the s of a stop is long"
        assert barge_in.stale == 0
        assert barge_in.true_text
    assert sorted(b.silence for b in found if b)[1] <= 150
    assert engine.generation == 3
    with wave.open(str(out)) as file:
        assert file.getnframes() == sum(sounds), "the file holds what was played, no more"


def test_a_nod_lets_the_answer_go_on_to_its_end() -> None:
    states: list[str] = []

    async def script(stage: Stage, engine: Engine) -> None:
        await asyncio.sleep(0.5)
        stage.say(bench.speech(bench.LONG))
        await stage.until(lambda: bool(stage.sound))
        await asyncio.sleep(2)
        stage.say(bench.speech("Okay."))
        await stage.until(lambda: stage.played[-1][1].state == "done", 30)
        times = [when for when, _ in stage.sound]
        gap = max(b - a for a, b in zip(times, times[1:], strict=False))
        assert 0.2 < gap < 1.5
        states.extend(played.state for _, played in stage.played)
        assert stage.played[-1][1].text.endswith("file of this graph.")

    engine = virtual.run(bench.play(script))
    assert states[0] == "start" and states[-1] == "done" and "interrupted" not in states
    assert engine.generation == 0


async def echo(stage: Stage, response: Samples) -> None:
    """The room: what the loudspeaker plays comes back to the microphone."""
    resampler, done, at = soxr.ResampleStream(24000, bench.RATE, 1, "float32"), 0, 0
    while not stage.over:
        await stage.until(lambda done=done: len(stage.sound) > done or stage.over, 1e6)
        for _, frame in stage.sound[done:]:
            block = resampler.resample_chunk(frame.samples[:, 0])
            if at < stage.position - bench.RATE // 10:
                at = stage.position + bench.CHUNK
            if len(block):
                stage.saying.append((at, np.convolve(block, response).astype(np.float32)))
                at += len(block)
        done = len(stage.sound)


def test_it_does_not_hear_itself_and_hears_the_person(tmp_path: Path) -> None:
    """The live graph in a room that gives its voice back as loud as the person's."""
    pytest.importorskip("livekit")
    rng = np.random.default_rng(3)
    tail = rng.normal(size=3200) * 10 ** (-3 * np.arange(3200) / 3200)
    response = np.concatenate([np.zeros(640), [1.0], 0.2 * tail]).astype(np.float32)
    response *= 1.0 / np.sqrt((response**2).sum())
    gaps: list[float] = []

    async def script(stage: Stage, engine: Engine) -> None:
        room = asyncio.create_task(echo(stage, response))
        await asyncio.sleep(0.5)
        stage.say(bench.speech(bench.LONG))
        assert await stage.until(lambda: stage.state(0, "done") is not None, 40)
        times = [when for when, _ in stage.sound]
        gaps.extend(b - a for a, b in zip(times, times[1:], strict=False) if b - a > 0.1)
        assert [turn.text for _, turn in stage.turns] == ["What can you do?"]
        stage.say(bench.speech(bench.LONG))
        assert await stage.until(lambda: stage.state(1, "start") is not None, 10)
        await asyncio.sleep(3)
        stage.say(bench.speech("Wait, what time is it?"))
        assert await stage.until(lambda: stage.state(1, "interrupted") is not None, 10)

        def answered() -> bool:
            asked = [turn.index for _, turn in stage.turns[2:] if "time is it" in turn.text]
            return any(stage.state(index, "done") is not None for index in asked)

        done = await stage.until(answered, 30)
        assert done, (stage.turns, [played for _, played in stage.played[-12:]])
        stage.over = True
        stage.news.set()
        await room

    virtual.run(bench.play(script, graph="assistant-live"))
    assert len(gaps) <= 1, "it may stop once to listen, before the canceller has converged"
