"""Searches against brute force on small random lattices, with and without outside scores."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from streamer.asr.streaming.search import (
    BeamSearch,
    CtcBeamSearch,
    CtcGreedySearch,
    Fusion,
    GreedySearch,
)
from streamer.asr.streaming.search.base import log_softmax
from tests.asr.streaming.helpers import LatticeEngine

FRAMES, VOCAB = 4, 3
BLANK = VOCAB - 1


def table(seed: int, frames: int = FRAMES, vocab: int = VOCAB) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(0, 2, (frames, vocab, vocab))


def transducer_scores(
    logits: NDArray[np.float64], max_symbols: int
) -> dict[tuple[int, ...], float]:
    """log P of every token sequence, by enumerating all paths; at most ``max_symbols`` a frame.

    As in the search, a frame left because it is full costs no blank.
    """
    logps = log_softmax(logits.astype(np.float32)).astype(float)
    paths: dict[tuple[int, ...], float] = {(): 0.0}
    for t in range(len(logps)):
        after: dict[tuple[int, ...], float] = {}
        for tokens, score in paths.items():
            for count in range(max_symbols + 1):
                for new in itertools.product(range(BLANK), repeat=count):
                    total, last = score, tokens[-1] if tokens else BLANK
                    for token in new:
                        total += logps[t, last, token]
                        last = token
                    if count < max_symbols:
                        total += logps[t, last, BLANK]
                    key = (*tokens, *new)
                    after[key] = np.logaddexp(after.get(key, -np.inf), total)
        paths = after
    return paths


def ctc_scores(logps: NDArray[np.float32]) -> dict[tuple[int, ...], float]:
    scores: dict[tuple[int, ...], float] = {}
    for path in itertools.product(range(VOCAB), repeat=len(logps)):
        total = float(sum(logps[t, token] for t, token in enumerate(path)))
        key = tuple(k for k, _ in itertools.groupby(path) if k != BLANK)
        scores[key] = float(np.logaddexp(scores.get(key, -np.inf), total))
    return scores


def run(search: object, engine: LatticeEngine, splits: list[int]) -> list[object]:
    states = [search.start() for _ in engine.tables]  # type: ignore[attr-defined]
    edges = [0, *splits, FRAMES]
    for begin, end in itertools.pairwise(edges):
        if end > begin:
            search.advance(states, engine.chunk(begin, end))  # type: ignore[attr-defined]
    return [search.finish(state) for state in states]  # type: ignore[attr-defined]


class Favour:
    """A scorer that adds a fixed amount for one token after another one."""

    def __init__(self, first: int, then: int, amount: float) -> None:
        self.first, self.then, self.amount = first, then, amount

    def start(self) -> int:
        return -1

    def scores(self, states: NDArray[np.int64]) -> NDArray[np.float32]:
        out = np.zeros((len(states), VOCAB), np.float32)
        out[states == self.first, self.then] = self.amount
        return out

    def advance(self, states: NDArray[np.int64], tokens: NDArray[np.int64]) -> NDArray[np.int64]:
        return tokens

    def final(self, states: NDArray[np.int64]) -> NDArray[np.float32]:
        return np.zeros(len(states), np.float32)

    def total(self, tokens: tuple[int, ...]) -> float:
        pairs = zip((-1, *tokens), tokens, strict=False)
        return sum(self.amount for a, b in pairs if (a, b) == (self.first, self.then))


@given(seed=st.integers(0, 10_000), symbols=st.integers(1, 2))
@settings(deadline=None, max_examples=25)
def test_a_wide_beam_finds_the_likeliest_tokens_and_their_probability(
    seed: int, symbols: int
) -> None:
    engine = LatticeEngine([table(seed)], symbols)
    (found,) = run(BeamSearch(engine, beam=600), engine, [2])
    truth = transducer_scores(table(seed), symbols)
    assert found.tokens == max(truth, key=truth.__getitem__)
    assert found.score == pytest.approx(truth[found.tokens], abs=1e-4)


@given(seed=st.integers(0, 10_000), symbols=st.integers(1, 3), fused=st.booleans())
@settings(deadline=None, max_examples=60)
def test_a_beam_of_one_is_greedy(seed: int, symbols: int, fused: bool) -> None:
    engine = LatticeEngine([table(seed + i) for i in range(3)], symbols)
    fusion = Fusion([Favour(0, 1, 1.5)] if fused else [])
    greedy = run(GreedySearch(engine, fusion), engine, [1])
    beam = run(BeamSearch(engine, fusion, beam=1), engine, [3])
    for a, b in zip(greedy, beam, strict=True):
        assert (a.tokens, a.frames) == (b.tokens, b.frames)
        assert a.logps == pytest.approx(b.logps, abs=1e-4)


def test_a_beam_finds_better_readings_than_greedy() -> None:
    better = 0
    for seed in range(40):
        engine = LatticeEngine([table(seed)])
        truth = transducer_scores(table(seed), 3)
        (greedy,) = run(GreedySearch(engine), engine, [])
        (beam,) = run(BeamSearch(engine, beam=8), engine, [])
        assert truth[beam.tokens] >= truth[greedy.tokens] - 1e-6
        better += truth[beam.tokens] > truth[greedy.tokens] + 1e-6
    assert better >= 5


@given(
    seed=st.integers(0, 10_000),
    splits=st.lists(st.integers(0, FRAMES), max_size=3),
    name=st.sampled_from(["greedy", "beam", "ctc", "ctc beam"]),
)
@settings(deadline=None, max_examples=60)
def test_neither_chunks_nor_the_batch_change_the_result(
    seed: int, splits: list[int], name: str
) -> None:
    tables = [table(seed + i) for i in range(4)]

    def search(engine: LatticeEngine) -> object:
        fusion = Fusion([Favour(1, 0, 0.7)])
        return {
            "greedy": lambda: GreedySearch(engine, fusion),
            "beam": lambda: BeamSearch(engine, fusion, beam=3),
            "ctc": lambda: CtcGreedySearch(engine.info),
            "ctc beam": lambda: CtcBeamSearch(engine.info, fusion, beam=3),
        }[name]()

    together = LatticeEngine(tables)
    batched = run(search(together), together, sorted(splits))
    for one, found in zip(tables, batched, strict=True):
        alone = LatticeEngine([one])
        (expected,) = run(search(alone), alone, [])
        assert (expected.tokens, expected.frames) == (found.tokens, found.frames)


@given(seed=st.integers(0, 10_000))
@settings(deadline=None, max_examples=20)
def test_scores_from_outside_add_up(seed: int) -> None:
    favour = Favour(0, 1, 1.3)
    engine = LatticeEngine([table(seed)], max_symbols=2)
    (found,) = run(BeamSearch(engine, Fusion([favour]), beam=600), engine, [])
    truth = {k: v + favour.total(k) for k, v in transducer_scores(table(seed), 2).items()}
    assert truth[found.tokens] == pytest.approx(max(truth.values()), abs=1e-3)
    assert found.score == pytest.approx(truth[found.tokens], abs=1e-3)


@given(seed=st.integers(0, 10_000), fused=st.booleans())
@settings(deadline=None, max_examples=40)
def test_ctc_prefix_beam_sums_over_all_paths(seed: int, fused: bool) -> None:
    favour = Favour(0, 1, 0.9)
    engine = LatticeEngine([table(seed)])
    fusion = Fusion([favour] if fused else [])
    (found,) = run(CtcBeamSearch(engine.info, fusion, beam=200), engine, [1])
    truth = ctc_scores(engine.chunk(0, FRAMES).ctc[0])  # type: ignore[index]
    if fused:
        truth = {k: v + favour.total(k) for k, v in truth.items()}
    assert found.tokens == max(truth, key=truth.__getitem__)
    assert found.score == pytest.approx(truth[found.tokens], abs=1e-4)


def test_ctc_best_path_collapses_repeats_across_chunks() -> None:
    logits = np.full((FRAMES, VOCAB, VOCAB), -5.0)
    for t, token in enumerate([0, 0, BLANK, 0]):
        logits[t, :, token] = 5.0
    engine = LatticeEngine([logits])
    (found,) = run(CtcGreedySearch(engine.info), engine, [1])
    assert found.tokens == (0, 0)
    assert found.frames == (0, 3)


def test_silent_tokens_are_never_emitted() -> None:
    logits = np.zeros((FRAMES, VOCAB, VOCAB))
    logits[..., 0] = 9.0
    engine = LatticeEngine([logits])
    from dataclasses import replace

    engine.info = replace(engine.info, silent=frozenset({0}))
    for search in (GreedySearch(engine), BeamSearch(engine), CtcGreedySearch(engine.info)):
        (found,) = run(search, engine, [])
        assert 0 not in found.tokens


def test_stable_is_what_all_hypotheses_share_and_stays() -> None:
    for seed in range(30):
        engine = LatticeEngine([table(seed)])
        search = BeamSearch(engine, beam=4)
        state = search.start()
        shown: tuple[int, ...] = ()
        for t in range(FRAMES):
            search.advance([state], engine.chunk(t, t + 1))
            best = search.best(state)
            assert best.tokens[: len(shown)] == shown
            shown = best.tokens[: best.stable]
        assert search.finish(state).tokens[: len(shown)] == shown


def test_a_confident_token_has_a_confident_posterior() -> None:
    logits = np.zeros((FRAMES, VOCAB, VOCAB))
    logits[..., BLANK] = 4.0
    logits[1, BLANK, 0] = 9.0
    engine = LatticeEngine([logits])
    (found,) = run(GreedySearch(engine), engine, [])
    assert found.tokens == (0,)
    assert found.frames == (1,)
    expected = math.exp(9) / (math.exp(9) + math.exp(4) + 1)
    assert math.exp(found.logps[0]) == pytest.approx(expected, rel=1e-4)
