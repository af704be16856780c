"""The recogniser node in real graphs: the shipped sample through Silero and Moonshine."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jiwer
import numpy as np
import pytest

from streamer.asr.second_pass import SharedMoonshine
from streamer.audio.decode import AudioReader
from streamer.errors import ModelError
from streamer.graph import Edge, Engine, GraphPlan, NodePlan, Out, QueueSpec, Source
from streamer.graph.resources import Resources
from streamer.nodes.asr_moonshine import AsrMoonshine, moonshine_for
from streamer.nodes.vad_silero import VadSilero
from streamer.packets import AudioFrame, Samples, SpeechSpan, Stamp, Transcript
from streamer.trace import WAIT, WORK, Recorder
from tests.nodes.graphs import Collect
from tools.asr_train.text import normalise

RATE = 16000


class Play(Source):
    """Sends ``local["frames"]``."""

    audio: Out[AudioFrame]

    async def run(self) -> None:
        for frame in self.ctx.local["frames"]:
            await self.audio.send(frame, Stamp(position=frame.end, captured_ns=frame.end))


class Spans(Source):
    """Sends ``local["spans"]``, for tests that choose them."""

    speech: Out[SpeechSpan]

    async def run(self) -> None:
        for span in self.ctx.local["spans"]:
            await self.speech.send(span, Stamp(position=int(span.start * RATE)))


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def resources(loop: asyncio.Runner) -> Iterator[Resources]:
    """Models are loaded once for all tests of the module."""
    shared = Resources()
    yield shared
    loop.run(shared.aclose())


@pytest.fixture(scope="module")
def austen(sample: Path) -> Samples:
    reader = AudioReader(str(sample))
    samples = np.concatenate([frame.samples[:, 0] for frame in reader.read(60)])
    reader.close()
    return samples


@pytest.fixture(scope="module")
def reference(sample: Path) -> list[str]:
    return [normalise(line) for line in sample.with_suffix(".txt").read_text().splitlines()]


def frames(samples: Samples, chunk: float = 0.02, start: int = 0) -> list[AudioFrame]:
    step = max(1, int(chunk * RATE))
    return [
        AudioFrame(samples[at : at + step, None], RATE, start + at)
        for at in range(0, len(samples), step)
    ]


@pytest.fixture
def recognise(loop: asyncio.Runner, resources: Resources) -> Any:
    """Runs frames through VAD (or given spans) and recogniser; returns (transcript, stamp)s."""

    def run(
        audio: list[AudioFrame],
        spans: list[SpeechSpan] | None = None,
        recorder: Recorder | None = None,
        **config: Any,
    ) -> list[tuple[Transcript, Stamp]]:
        speech = VadSilero if spans is None else Spans
        nodes = {
            "play": NodePlan("play", Play, Play.Config()),
            "speech": NodePlan("speech", speech, speech.Config()),
            "asr": NodePlan("asr", AsrMoonshine, AsrMoonshine.Config(**config)),
            "end": NodePlan("end", Collect, Collect.Config()),
        }
        ports = {name: node.cls.ports() for name, node in nodes.items()}

        def edge(source: str, out: str, target: str, port: str) -> Edge:
            return Edge(source, ports[source][1][out], target, ports[target][0][port], QueueSpec())

        edges = [
            edge("play", "audio", "asr", "audio"),
            edge("speech", "speech", "asr", "speech"),
            edge("asr", "transcript", "end", "items"),
        ]
        if spans is None:
            edges.append(edge("play", "audio", "speech", "audio"))
        got: list[tuple[Transcript, Stamp]] = []
        local = {"frames": audio, "spans": spans, "got": got}
        plan = GraphPlan("t", nodes, edges)
        engine = Engine(plan, resources=resources, local=local, recorder=recorder)
        loop.run(engine.run())
        return got

    return run


def finals(got: list[tuple[Transcript, Stamp]]) -> list[Transcript]:
    return [transcript for transcript, _ in got if transcript.final]


def error_rate(reference: list[str], found: list[Transcript]) -> float:
    text = normalise(" ".join(transcript.text for transcript in found))
    return float(jiwer.wer(" ".join(reference), text))


def check_promises(got: list[tuple[Transcript, Stamp]]) -> None:
    """Revisions count up, stable text stays, nothing follows a final, stamps cover the audio."""
    last: dict[int, Transcript] = {}
    for transcript, stamp in got:
        before = last.get(transcript.segment)
        if before is not None:
            assert not before.final
            assert transcript.revision == before.revision + 1
            assert transcript.text.startswith(before.stable)
            assert transcript.stable_len >= before.stable_len
            assert transcript.start == before.start
        assert stamp.captured_ns == stamp.position
        assert transcript.end * RATE == pytest.approx(stamp.position, abs=0.1 * RATE)
        last[transcript.segment] = transcript
    assert all(transcript.final for transcript in last.values())


def test_the_shipped_sample_with_partials(
    recognise: Any, austen: Samples, reference: list[str]
) -> None:
    got = recognise(frames(austen), partial_interval=1.2)
    check_promises(got)
    found = finals(got)
    assert error_rate(reference, found) <= 0.12
    assert [t.segment for t in found] == list(range(len(found)))
    assert len(got) > 2 * len(found)
    assert any(0 < t.stable_len < len(t.text) for t, _ in got)
    edges = [edge for t in found for edge in (t.start, t.end)]
    assert edges == sorted(edges)
    # The sentences lie where the sample's description says.
    for begin, end in ((0.5, 7.6), (8.3, 11.29), (24.74, 28.03)):
        inside = [t for t in found if t.start < end and t.end > begin]
        assert min(t.start for t in inside) == pytest.approx(begin, abs=0.5)
        assert max(t.end for t in inside) == pytest.approx(end, abs=0.5)


def test_live_partials_keep_their_promises(recognise: Any, austen: Samples) -> None:
    check_promises(recognise(frames(austen[: 12 * RATE])))


def test_the_size_of_frames_changes_nothing(recognise: Any, austen: Samples) -> None:
    speech = austen[8 * RATE : int(11.6 * RATE)]
    settings = {"partial_interval": 1.0}
    expected = [t for t, _ in recognise(frames(speech), **settings)]
    assert expected[-1].text
    for chunk in (0.001, 0.0137, 10.0):
        assert [t for t, _ in recognise(frames(speech, chunk), **settings)] == expected


def test_silence_and_nothing_give_nothing(recognise: Any) -> None:
    assert recognise(frames(np.zeros(3 * RATE, np.float32))) == []
    assert recognise([]) == []


def test_broken_samples_do_no_harm(recognise: Any, austen: Samples) -> None:
    speech = austen[8 * RATE : int(11.6 * RATE)].copy()
    speech[::997] = np.nan
    assert "young man" in finals(recognise(frames(speech), partials=False))[-1].text


def test_a_stream_that_ends_within_a_word_loses_nothing(recognise: Any, austen: Samples) -> None:
    found = finals(recognise(frames(austen[8 * RATE : int(11.0 * RATE)]), partials=False))
    assert "ill" in found[-1].text
    assert found[-1].end == pytest.approx(3.0, abs=0.05)


def test_times_stay_true_over_a_gap(recognise: Any, austen: Samples) -> None:
    sentence = austen[int(8.1 * RATE) : int(11.8 * RATE)]
    got = recognise(frames(sentence) + frames(sentence, start=10 * RATE), partials=False)
    first, second = finals(got)
    assert second.text == first.text
    assert second.start - first.start == pytest.approx(10, abs=0.05)


def test_spans_that_come_before_their_audio(recognise: Any, austen: Samples) -> None:
    spans = [SpeechSpan("start", 0, 8.2), SpeechSpan("end", 0, 8.2, 11.6, 11.3)]
    early = finals(recognise(frames(austen[: 13 * RATE]), spans, partials=False))
    assert normalise(early[0].text) == "he was not an ill disposed young man"
    assert (early[0].start, early[0].end) == (pytest.approx(8.2), pytest.approx(11.6))


def test_endless_speech_is_cut_and_joined(
    recognise: Any, austen: Samples, reference: list[str]
) -> None:
    # The five sentences without their pauses, in one span that never ends.
    parts = ((0.5, 7.6), (8.3, 11.29), (11.99, 17.29), (17.99, 24.04), (24.74, 28.03))
    speech = np.concatenate([austen[int(a * RATE) : int(b * RATE)] for a, b in parts])
    got = recognise(frames(speech), [SpeechSpan("start", 0, 0.0)], partials=False, max_segment=10)
    found = finals(got)
    assert len(found) >= 3
    assert all(t.end - t.start <= 10 + 1e-6 for t in found)
    for before, after in zip(found, found[1:], strict=False):
        assert after.start == before.end
    assert error_rate(reference, found) <= 0.12


def test_a_final_does_not_wait_for_its_partial_and_the_trace_shows_the_decoding(
    recognise: Any, loop: asyncio.Runner, resources: Resources, austen: Samples
) -> None:
    """All workers that may do partials are held by others meanwhile."""

    async def hold(shared: SharedMoonshine) -> None:
        async with shared.partial(True) as turn:
            await turn.run(gate.wait, 20)

    async def begin() -> list[asyncio.Task[None]]:
        return [asyncio.create_task(hold(shared)) for _ in range(others)]

    gate, recorder = threading.Event(), Recorder()
    shared = loop.run(moonshine_for("moonshine-base-en", resources))
    others = max(1, shared.workers - 1)
    holding = loop.run(begin())
    final, first, partial = shared.stats
    before = (final.runs.count, first.runs.count, partial.runs.count, first.withdrawn)
    got = recognise(frames(austen[8 * RATE : int(11.8 * RATE)]), recorder=recorder)
    gate.set()
    loop.run(asyncio.wait(holding, timeout=5))
    assert [t.text for t, _ in got if t.final] == [t.text for t, _ in got]
    assert "young man" in got[0][0].text
    assert final.runs.count == before[0] + 1
    assert first.runs.count == before[1] + others
    assert (partial.runs.count, first.withdrawn) == (before[2], before[3] + 1)
    step = recorder.track("asr: final")
    assert step.histograms[WORK].count == 1
    assert step.histograms[WORK].total > 10e6, "ns of decoding 3 s of speech"
    assert step.histograms[WAIT].count == 1


def test_a_model_for_something_else_is_refused(recognise: Any) -> None:
    with pytest.raises(ModelError) as caught:
        recognise([], model="silero-vad")
    assert caught.value.code == "model.unfit"
