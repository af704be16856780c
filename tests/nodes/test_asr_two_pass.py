"""``asr.two_pass``: the real second pass, with a first pass that knows only tones."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from pathlib import Path
from typing import Any

import jiwer
import numpy as np
import pytest

from streamer.audio.decode import decode
from streamer.graph import Edge, Engine, GraphPlan, NodePlan, Out, Source, virtual
from streamer.nodes.asr_two_pass import AsrTwoPass
from streamer.packets import AudioFrame, Samples, SpeechSpan, Stamp, Transcript
from tests.asr.streaming.helpers import TINY
from tests.asr.tones import noise, random_tokens, say, spell
from tests.nodes.graphs import Collect
from tools.asr_train.text import normalise

SPANS = [(0.5, SpeechSpan("start", 0, 0.2)), (5.5, SpeechSpan("end", 0, 0.2, 5.2, 5.0))]
"""When each is known, and what is: five seconds of ``speech``."""


@pytest.fixture(scope="module")
def speech(sample: Path) -> Samples:
    """Six seconds of the shipped sample."""
    frames = decode(sample, chunk=1.0)
    return np.concatenate([frame.samples[:, 0] for frame in frames])[: 16000 * 6]


class Script(Source):
    """Sends audio in frames of 100 ms as it would be spoken, and spans when their time has come."""

    kind = "test.script"
    audio: Out[AudioFrame]
    speech: Out[SpeechSpan]

    async def run(self) -> None:
        samples, spans = self.ctx.local["samples"], list(self.ctx.local["spans"])
        for at in range(0, samples.size, 1600):
            piece = samples[at : at + 1600]
            await asyncio.sleep(0.1)
            stamp = Stamp(position=at + piece.size, captured_ns=self.ctx.now_ns())
            await self.audio.send(AudioFrame(piece[:, None], 16000, at), stamp)
            while spans and spans[0][0] <= stamp.seconds:
                await self.speech.send(spans.pop(0)[1], stamp)


def run(
    samples: np.ndarray, spans: list[tuple[float, SpeechSpan]], **more: Any
) -> list[Transcript]:
    tones = {"model": str(TINY), "chunk": "320ms", "precision": "fp32"}
    settings = AsrTwoPass.Config(**tones | more)
    nodes = {
        "script": NodePlan("script", Script, Script.Config()),
        "asr": NodePlan("asr", AsrTwoPass, settings),
        "collect": NodePlan("collect", Collect, Collect.Config()),
    }
    outs, ins = Script.ports()[1], AsrTwoPass.ports()[0]
    edges = [
        Edge("script", outs["audio"], "asr", ins["audio"]),
        Edge("script", outs["speech"], "asr", ins["speech"]),
        Edge("asr", AsrTwoPass.ports()[1]["transcript"], "collect", Collect.ports()[0]["items"]),
    ]
    got: list[Any] = []
    local = {"got": got, "samples": samples, "spans": spans}
    virtual.run(Engine(GraphPlan("test", nodes, edges), local=local).run())
    return [transcript for transcript, _ in got]


def test_finals_are_those_of_the_second_pass(speech: Samples) -> None:
    said = run(speech, SPANS)
    (final,) = (t for t in said if t.final)
    assert len(final.text.split()) > 8
    assert any(c.isupper() for c in final.text)
    assert [t.revision for t in said if t.segment == 0] == list(range(len(said)))
    starts = [w.start for w in final.words]
    assert starts == sorted(starts)
    assert 0.0 <= starts[0] and final.words[-1].end < 6.5


def test_partials_are_those_of_the_first_pass_and_belong_to_the_open_segment() -> None:
    rng = np.random.default_rng(0)
    tokens = random_tokens(rng, 14)
    audio = np.concatenate([noise(0.5), say(tokens, rng), noise(1.0)])
    end = audio.size / 16000 - 0.6
    spans = [(0.7, SpeechSpan("start", 0, 0.3)), (end + 0.5, SpeechSpan("end", 0, 0.3, end, end))]
    said = run(audio, spans, refine=False)
    partials = [t for t in said if not t.final]
    assert len(partials) >= 3
    assert all(spell(tokens).startswith(t.text) for t in partials)
    assert all(t.stable_len == 0 and t.segment == 0 for t in partials)
    assert [t.revision for t in said] == list(range(len(said)))


def test_the_second_pass_corrects_what_the_first_has_shown(speech: Samples) -> None:
    said = run(speech, SPANS, model="conformer-t-en", precision="int8")
    *partials, final = (t for t in said if t.segment == 0)
    assert final.final and not any(t.final for t in partials)
    assert [t.revision for t in (*partials, final)] == list(range(len(partials) + 1))
    for before, after in pairwise((*partials, final)):
        assert after.text.startswith(before.stable) and after.stable_len >= before.stable_len
    plain, cased = partials[0].text, [t for t in partials if any(c.isupper() for c in t.text)]
    assert plain and plain == plain.lower(), "the first to speak is the transducer"
    assert len(cased) > 3, "soon Moonshine's words are there"
    assert jiwer.wer(normalise(final.text), normalise(cased[-1].text)) < 0.4
    assert all(t.words[-1].text == t.text.split()[-1] for t in partials)


def test_without_partials_the_first_pass_only_gives_times(speech: Samples) -> None:
    (final,) = run(speech, SPANS, model="conformer-t-en", precision="int8", partials=False)
    lengths = {round(word.end - word.start, 3) for word in final.words}
    assert final.final and len(lengths) > 2 and all(w.start < w.end for w in final.words)
