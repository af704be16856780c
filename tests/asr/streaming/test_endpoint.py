"""Endpoint rules: each fires when it should, and only then."""

from __future__ import annotations

import numpy as np
import pytest

from streamer.asr.interop import load_engine
from streamer.asr.streaming import Decoder, EndpointRules
from streamer.asr.streaming.search import Fusion, GreedySearch, PhraseBooster
from tests.asr.streaming.helpers import TINY, feed
from tests.asr.tones import noise, random_tokens, say


def test_limits() -> None:
    rules = EndpointRules(after_words=0.8, without_words=2.4)
    assert [rules.silent_enough(s, True) for s in (0.79, 0.8)] == [False, True]
    assert [rules.silent_enough(s, False) for s in (0.8, 2.39, 2.4)] == [False, False, True]
    off = EndpointRules(None, None, None)
    assert not off.silent_enough(1e9, True)
    assert not off.silent_enough(1e9, False)


@pytest.mark.parametrize("pause", [0.5, 0.8, 1.2])
def test_silence_after_words_ends_the_segment_after_the_pause_asked_for(pause: float) -> None:
    engine = load_engine(TINY)
    dec = Decoder(engine, GreedySearch(engine), 2, EndpointRules(after_words=pause))
    rng = np.random.default_rng(1)
    stream = dec.open()
    stream.windows.accept(np.concatenate([say(random_tokens(rng, 6), rng), noise(3.0)]))
    while True:
        (said,) = dec.step([stream])
        if any(t.final for t in said):
            break
    (final,) = (t for t in said if t.final)
    silence = stream.segmenter.seconds - final.words[-1].end
    assert pause <= silence + 1e-9 < pause + 0.16


def test_boosting_does_not_move_the_endpoint() -> None:
    engine = load_engine(TINY)
    rng = np.random.default_rng(2)
    audio = np.concatenate([say(random_tokens(rng, 8), rng), noise(2.0), say([1, 12], rng)])
    boosted = Fusion([PhraseBooster(engine.info, {"jjjj kkk": 0.7})])
    plain = feed(Decoder(engine, GreedySearch(engine), 2), audio)
    other = feed(Decoder(engine, GreedySearch(engine, boosted), 2), audio)
    assert [(t.text, t.end) for t in plain if t.final] == [
        (t.text, t.end) for t in other if t.final
    ]
