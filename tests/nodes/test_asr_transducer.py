"""``asr.transducer`` in a running graph, with a small model that knows the language of tones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from streamer.errors import StreamerError
from streamer.graph import In, Node, Out, Source, virtual
from streamer.nodes.asr_transducer import AsrTransducer
from streamer.packets import AudioFrame, SpeechSpan, Stamp, Transcript
from tests.asr.streaming.helpers import TINY
from tests.asr.tones import noise, random_tokens, say, spell
from tests.nodes.graphs import chain


class Speaker(Source):
    """Sends the samples it is given, 20 ms at a time."""

    kind = "test.speaker"
    audio: Out[AudioFrame]

    async def run(self) -> None:
        samples = self.ctx.local["samples"]
        for at in range(0, samples.size, 320):
            piece = samples[at : at + 320]
            stamp = Stamp(position=at + piece.size, captured_ns=self.ctx.now_ns())
            await self.audio.send(AudioFrame(piece[:, None], 16000, at), stamp)


def spoken(seed: int) -> tuple[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    tokens = random_tokens(rng, 8)
    return spell(tokens), np.concatenate([noise(0.3, seed), say(tokens, rng)])


def run(samples: np.ndarray, **settings: Any) -> list[tuple[Transcript, Stamp]]:
    engine, got = chain((Speaker, {}), (AsrTransducer, {"model": str(TINY), **settings}))
    engine.local["samples"] = samples
    virtual.run(engine.run())
    return got


def test_partials_then_finals_with_the_age_of_what_was_said() -> None:
    first, a = spoken(1)
    second, b = spoken(2)
    got = run(np.concatenate([a, noise(1.5), b]), chunk="160ms", precision="fp32")
    ended = [t for t, _ in got if t.final]
    assert [t.text for t in ended] == [first, second]
    assert sum(not t.final for t, _ in got) > 8
    for transcript, stamp in got:
        assert stamp.seconds >= transcript.start
    for transcript, stamp in got[:-1]:
        assert stamp.seconds - transcript.end < 1.5


def test_a_last_word_that_runs_into_the_end_is_heard() -> None:
    text, audio = spoken(3)
    assert [t.text for t, _ in run(audio, chunk="1280ms") if t.final] == [text]


def test_nan_is_reported_and_the_rest_still_heard() -> None:
    text, audio = spoken(4)
    later, b = spoken(5)
    samples = np.concatenate([audio, noise(1.6), b])
    samples[audio.size + 8000] = np.nan
    engine, got = chain((Speaker, {}), (AsrTransducer, {"model": str(TINY)}))
    engine.local["samples"] = samples
    virtual.run(engine.run())
    assert [t.text for t, _ in got if t.final] == [text, later]
    assert [r.error.code for r in engine.reports] == ["asr.features.not_finite"]


def test_the_torch_engine_in_a_graph_or_a_sentence_that_says_what_is_missing() -> None:
    text, audio = spoken(7)
    try:
        import torch  # noqa: F401
    except ImportError:
        with pytest.raises(StreamerError) as caught:
            run(audio, engine="torch")
        assert caught.value.code == "asr.torch.missing"
    else:
        assert [t.text for t, _ in run(audio, engine="torch") if t.final] == [text]


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"chunk": "200ms"}, "asr.model.chunk"),
        ({"model": "/nowhere"}, "model.unknown"),
        ({"lm": "/nowhere.arpa", "search": "beam"}, "asr.lm.bad"),
        ({"lm": "own", "search": "beam"}, "asr.lm.bad"),
        ({"lm": "own", "model": "moonshine-base-en"}, "model.unfit"),
        ({"boost": ["caf\u00e9"]}, "asr.boost.phrase"),
    ],
)
def test_settings_that_cannot_work_end_the_run_with_their_code(
    settings: dict[str, Any], code: str
) -> None:
    with pytest.raises(StreamerError) as caught:
        run(noise(0.1), **settings)
    assert caught.value.code == code


def test_more_sessions_than_slots_is_refused() -> None:
    """Two nodes of one graph are two sessions."""
    engine, _ = chain(
        (Speaker, {}),
        (AsrTransducer, {"model": str(TINY), "slots": 1}),
        (Again, {}),
        (AsrTransducer, {"model": str(TINY), "slots": 1}),
    )
    engine.local["samples"] = noise(0.1)
    with pytest.raises(StreamerError) as caught:
        virtual.run(engine.run())
    assert caught.value.code == "asr.no-slot"


class Again(Node):
    """From text back to (no) audio."""

    kind = "test.again"
    text: In[Transcript]
    audio: Out[AudioFrame]

    async def process(self, transcript: Transcript) -> None:
        raise AssertionError


def test_the_end_of_speech_ends_the_segment_at_once() -> None:
    text, audio = spoken(6)
    got: list[Transcript] = []

    class Vad(Source):
        kind = "test.vad"
        audio: Out[AudioFrame]
        speech: Out[SpeechSpan]

        async def run(self) -> None:
            await self.audio.send(AudioFrame(audio[:, None], 16000, 0), Stamp(position=audio.size))
            await self.speech.send(SpeechSpan("start", 0, 0.1), Stamp(position=audio.size))
            end = audio.size / 16000
            await self.speech.send(
                SpeechSpan("end", 0, 0.1, end, end - 0.2), Stamp(position=audio.size)
            )
            more = noise(0.02)[:, None]
            await self.audio.send(AudioFrame(more, 16000, audio.size), Stamp(position=audio.size))

    from streamer.graph import Edge, Engine, GraphPlan, NodePlan
    from tests.nodes.graphs import Collect

    nodes = {
        "vad": NodePlan("vad", Vad, Vad.Config()),
        "asr": NodePlan("asr", AsrTransducer, AsrTransducer.Config(model=str(TINY))),
        "collect": NodePlan("collect", Collect, Collect.Config()),
    }
    outs, ins = Vad.ports()[1], AsrTransducer.ports()[0]
    edges = [
        Edge("vad", outs["audio"], "asr", ins["audio"]),
        Edge("vad", outs["speech"], "asr", ins["speech"]),
        Edge("asr", AsrTransducer.ports()[1]["final"], "collect", Collect.ports()[0]["items"]),
    ]
    collected: list[Any] = []
    engine = Engine(GraphPlan("test", nodes, edges), local={"got": collected})
    virtual.run(engine.run())
    got = [transcript for transcript, _ in collected]
    assert [t.text for t in got] == [text]
