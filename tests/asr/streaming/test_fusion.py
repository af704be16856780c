"""Language model and phrase boosting: scores worked out by hand, and their effect on text."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.asr.interop import load_engine
from streamer.asr.streaming import ModelInfo
from streamer.asr.streaming.search import (
    BeamSearch,
    CtcBeamSearch,
    Fusion,
    GreedySearch,
    NgramScorer,
    PhraseBooster,
)
from streamer.asr.streaming.search.ngram_file import read_model, write_packed
from streamer.errors import InputError, ModelError
from tests.asr.streaming.helpers import TINY, LatticeEngine

ARPA = """
\\data\\
ngram 1=4
ngram 2=2

\\1-grams:
-99\t<s>\t-0.5
-0.6\t</s>
-0.7\t\u2581a\t-0.2
-0.9\t\u2581b

\\2-grams:
-0.1\t<s> \u2581a
-0.3\t\u2581a \u2581b

\\end\\
"""


def info(*tokens: str) -> ModelInfo:
    return ModelInfo("m", (*tokens, "<blk>"), len(tokens), (8,), 8, 8, 7)


def test_back_off_scores_equal_those_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "lm.arpa"
    path.write_text(ARPA)
    scorer = NgramScorer(path, ["\u2581a", "\u2581b", "<blk>"], 2, weight=0.5, bonus=0.25)
    ln = math.log(10)
    start = np.array([scorer.start()])
    expected = [0.5 * -0.1 * ln + 0.25, 0.5 * (-0.5 - 0.9) * ln + 0.25, 0.0]
    assert scorer.scores(start)[0].tolist() == pytest.approx(expected, abs=1e-5)
    after_a = scorer.advance(start, np.array([0]))
    expected = [0.5 * (-0.2 - 0.7) * ln + 0.25, 0.5 * -0.3 * ln + 0.25, 0.0]
    assert scorer.scores(after_a)[0].tolist() == pytest.approx(expected, abs=1e-5)
    assert scorer.final(after_a)[0] == pytest.approx(0.5 * (-0.2 - 0.6) * ln, abs=1e-5)


def test_a_language_model_decides_between_tokens_that_sound_alike(tmp_path: Path) -> None:
    path = tmp_path / "lm.arpa"
    path.write_text(ARPA)
    logits = np.zeros((4, 3, 3))
    logits[..., 2] = 6.0
    logits[1, 2, :] = [5.0, 5.1, 0.0]  # b sounds a little likelier
    logits[1, :2, 2] = 9.0
    engine = LatticeEngine([logits])
    fusion = Fusion([NgramScorer(path, engine.info.tokens, 2, weight=0.4)])
    for with_lm, expected in ((False, (1,)), (True, (0,))):
        for search in (
            GreedySearch(engine, fusion if with_lm else None),
            BeamSearch(engine, fusion if with_lm else None),
        ):
            state = search.start()
            search.advance([state], engine.chunk(0, 4))  # type: ignore[arg-type]
            assert search.finish(state).tokens == expected  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text",
    ["", "not arpa", ARPA.replace("\\end\\", ""), ARPA.replace("a", "z").replace("b", "y"),
     ARPA.replace("-0.3", "x"), ARPA.replace("\u2581a \u2581b", "\u2581a")],
)  # fmt: skip
def test_a_file_that_is_no_model_of_these_tokens_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "lm.arpa"
    path.write_text(text)
    with pytest.raises(ModelError) as caught:
        NgramScorer(path, ["\u2581a", "\u2581b", "<blk>"], 2)
    assert caught.value.code == "asr.lm.bad"


def test_a_packed_model_is_refused_when_cut_or_of_other_tokens(tmp_path: Path) -> None:
    tokens = ["\u2581a", "\u2581b", "<blk>"]
    arpa, packed = tmp_path / "lm.arpa", tmp_path / "lm.npz"
    arpa.write_text(ARPA)
    write_packed(packed, read_model(arpa, tokens, 2), tokens)
    assert NgramScorer(packed, tokens, 2).order == 2
    with pytest.raises(ModelError, match="made for other tokens") as caught:
        NgramScorer(packed, ["\u2581b", "\u2581a", "<blk>"], 2)
    assert caught.value.code == "asr.lm.bad"
    whole = packed.read_bytes()
    for kept in (0, 10, len(whole) // 2, len(whole) - 1):
        packed.write_bytes(whole[:kept])
        with pytest.raises(ModelError) as caught:
            NgramScorer(packed, tokens, 2)
        assert caught.value.code == "asr.lm.bad"


PIECES = (
    "\u2581",
    "\u2581new",
    "\u2581ne",
    "w",
    "\u2581york",
    "\u2581y",
    "or",
    "k",
    "s",
    "\u2581art",
)


def score(booster: PhraseBooster, tokens: list[int], end: bool = True) -> float:
    total, state = 0.0, np.array([booster.start()])
    for token in tokens:
        total += float(booster.scores(state)[0, token])
        state = booster.advance(state, np.array([token]))
    return total + (float(booster.final(state)[0]) if end else 0.0)


def tokenise(text: str) -> list[int]:
    """Longest piece first; anything else letter by letter must exist."""
    out, rest = [], text
    while rest:
        piece = max((p for p in PIECES if rest.startswith(p)), key=len)
        out.append(PIECES.index(piece))
        rest = rest[len(piece) :]
    return out


def test_a_phrase_counts_the_same_however_it_is_cut_into_tokens() -> None:
    booster = PhraseBooster(info(*PIECES), {"New York": 0.5})
    whole = len("_new_york_") * 0.5
    for cut in ([1, 4], [2, 3, 4], [1, 5, 6, 7], [2, 3, 5, 6, 7]):
        assert score(booster, cut) == pytest.approx(whole)


def test_what_breaks_off_is_taken_back_and_what_is_complete_is_kept() -> None:
    booster = PhraseBooster(info(*PIECES), {"new york": 0.5})
    word = PIECES.index
    assert score(booster, [1, 9]) == pytest.approx(0.0)  # new art
    assert score(booster, [1], end=False) == pytest.approx(2.0)
    assert score(booster, [1]) == pytest.approx(0.0)
    assert score(booster, [1, 4, word("s")]) == pytest.approx(0.0)  # new yorks
    assert score(booster, [1, 4, 9]) == pytest.approx(5.0)
    assert score(booster, [1, 1, 4]) == pytest.approx(5.0)  # new new york
    assert score(booster, [1, 4, 1, 4]) == pytest.approx(2 * 5.0)


@given(words=st.lists(st.sampled_from(["new", "york", "art", "yorks", "news"]), max_size=6))
@settings(deadline=None)
def test_only_whole_phrases_count_in_the_end(words: list[str]) -> None:
    booster = PhraseBooster(info(*PIECES), {"york": 0.5, "news": 0.5})
    total = score(booster, tokenise("".join("\u2581" + w for w in words)))
    assert total == pytest.approx(6 * 0.5 * (words.count("york") + words.count("news")))


def test_a_letter_the_model_cannot_write_is_refused() -> None:
    for phrase in ("caf\u00e9", "", "42"):
        with pytest.raises(InputError) as caught:
            PhraseBooster(info(*PIECES), {phrase: 0.5})
        assert caught.value.code == "asr.boost.phrase"


def test_boosting_turns_an_unsure_token_in_greedy_and_beam() -> None:
    logits = np.zeros((4, 3, 3))
    logits[..., 2] = 6.0
    logits[1, 2, :] = [5.0, 4.5, 0.0]
    logits[1, :2, 2] = 9.0
    engine = LatticeEngine([logits])
    boosted = Fusion([PhraseBooster(engine.info, {"b": 0.5})])
    for make in (
        lambda f: GreedySearch(engine, f),
        lambda f: BeamSearch(engine, f),
        lambda f: CtcBeamSearch(engine.info, f),
    ):
        found = []
        for fusion in (None, boosted):
            search = make(fusion)
            state = search.start()
            search.advance([state], engine.chunk(0, 4))
            found.append(search.finish(state).tokens)
        assert found == [(0,), (1,)]


def test_a_beam_of_one_is_greedy_with_boosting_too() -> None:
    engine = load_engine(TINY)
    from streamer.asr.streaming import Decoder
    from tests.asr.streaming.helpers import feed, finals
    from tests.asr.tones import random_tokens, say

    rng = np.random.default_rng(3)
    audio = say(random_tokens(rng, 20), rng)
    fusion = Fusion([PhraseBooster(engine.info, {"c": 2.0, "d e": 2.0})])
    greedy = finals(feed(Decoder(engine, GreedySearch(engine, fusion)), audio))
    beam = finals(feed(Decoder(engine, BeamSearch(engine, fusion, beam=1)), audio))
    assert greedy == beam
