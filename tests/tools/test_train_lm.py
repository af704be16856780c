"""The n-gram trainer: against Kneser-Ney worked out one n-gram at a time, and as a distribution."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.asr.streaming.search import NgramScorer
from tools.train_lm import count, discounts, lookup, pack, smooth, train, write

VOCAB, BEGIN, END = 6, 6, 7
SENTENCES = [
    np.array(s)
    for s in (
        [0, 1, 2],
        [0, 1, 3],
        [0, 1, 2, 4],
        [5],
        [2, 2, 2],
        [0, 3, 1, 2],
        [4, 0, 1],
        [3, 5, 0],
    )
]


def by_hand(sentences: list[np.ndarray], order: int) -> dict[tuple[int, ...], float]:
    """P(w | h) of every seen n-gram, straight from the definition."""
    raw: list[Counter[tuple[int, ...]]] = [Counter() for _ in range(order + 1)]
    for sentence in sentences:
        padded = [BEGIN, *sentence.tolist(), END]
        for n in range(1, order + 1):
            raw[n].update(tuple(padded[i : i + n]) for i in range(len(padded) - n + 1))
    counts: list[dict[tuple[int, ...], int]] = [{} for _ in range(order + 1)]
    for n in range(1, order + 1):
        for gram, c in raw[n].items():
            if n == order or gram[0] == BEGIN:
                counts[n][gram] = c
            else:
                counts[n][gram] = len({longer[0] for longer in raw[n + 1] if longer[1:] == gram})
    counts[1][(BEGIN,)] = 0
    probs: dict[tuple[int, ...], float] = {}
    for n in range(1, order + 1):
        off = discounts(np.array(list(counts[n].values())))
        by_history: dict[tuple[int, ...], dict[tuple[int, ...], int]] = defaultdict(dict)
        for gram, c in counts[n].items():
            by_history[gram[:-1]][gram] = c
        for followers in by_history.values():
            total = sum(followers.values())
            spare = sum(off[min(c, 3)] for c in followers.values()) / total
            for gram, c in followers.items():
                lower = 1 / (len(counts[1]) - 1) if n == 1 else probs[gram[1:]]
                probs[gram] = (c - off[min(c, 3)]) / total + spare * lower
    return probs


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_probabilities_are_those_of_the_definition(order: int) -> None:
    base = VOCAB + 2
    levels = count(SENTENCES, order, base, BEGIN, END)
    smooth(levels, vocab=len(levels[0]) - 1)
    expected = by_hand(SENTENCES, order)
    assert sum(len(grams) for grams in levels) == len(expected)
    for n, grams in enumerate(levels, 1):
        for key, prob in zip(grams.keys.tolist(), grams.prob.tolist(), strict=True):
            gram = tuple(key // base**k % base for k in range(n - 1, -1, -1))
            assert prob == pytest.approx(expected[gram], rel=1e-9), gram


@given(
    sentences=st.lists(
        st.lists(st.integers(0, VOCAB - 1), min_size=1, max_size=6), min_size=3, max_size=20
    ),
    order=st.integers(1, 4),
    threshold=st.sampled_from([0.0, 1e-3, 0.02]),
    history=st.lists(st.integers(0, VOCAB - 1), max_size=3),
)
@settings(deadline=None, max_examples=60)
def test_what_follows_any_history_sums_to_one(
    sentences: list[list[int]], order: int, threshold: float, history: list[int]
) -> None:
    levels, base = train([np.array(s) for s in sentences], VOCAB, order, threshold)
    seen = {token for sentence in sentences for token in sentence} | {END}
    past = [BEGIN, *[token for token in history if token in seen]]
    assert sum(lookup(levels, base, past, token) for token in seen) == pytest.approx(1.0, abs=1e-6)


def test_pruning_makes_it_smaller_and_a_little_worse() -> None:
    rng = np.random.default_rng(0)
    chain = rng.dirichlet(np.full(VOCAB, 0.2), size=VOCAB)
    sentences = []
    for _ in range(400):
        tokens = [0]
        for _ in range(12):
            tokens.append(int(rng.choice(VOCAB, p=chain[tokens[-1]])))
        sentences.append(np.array(tokens))
    from tools.train_lm import perplexity

    sizes, perplexities = [], []
    for threshold in (0.0, 1e-4, 1e-2):
        levels, base = train(sentences[40:], VOCAB, 3, threshold)
        sizes.append(sum(len(grams) for grams in levels))
        perplexities.append(perplexity(levels, sentences[:40], base))
    assert sizes[0] > sizes[1] > sizes[2]
    assert perplexities[0] < VOCAB * 0.8
    assert perplexities[2] > min(perplexities)


@pytest.mark.parametrize("name", ["lm.arpa", "lm.arpa.gz", "lm.npz"])
def test_the_recogniser_reads_back_the_same_probabilities(tmp_path: Path, name: str) -> None:
    levels, base = train(SENTENCES, VOCAB, 3, 1e-3)
    if name == "lm.npz":  # in steps of 1/16 of log10, and so is the way down by back-offs
        pack(levels, tmp_path / name, [*"abcdef", "<blk>"])
        near = 3 * math.log(10) / 32
    else:
        write(levels, tmp_path / name, [*"abcdef", "<s>", "</s>"], base)
        near = 1e-3
    scorer = NgramScorer(tmp_path / name, [*"abcdef", "<blk>"], blank=6, weight=1.0)
    for history in ([], [0], [0, 1], [2, 2], [5, 4, 3], [0, 1, 2, 4]):
        state = np.array([scorer.start()])
        for token in history:
            state = scorer.advance(state, np.array([token]))
        row = scorer.scores(state)[0]
        past = [BEGIN, *history]
        for token in range(VOCAB):
            expected = math.log(lookup(levels, base, past, token))
            assert row[token] == pytest.approx(expected, abs=near)
        assert row[6] == 0.0
        end = math.log(lookup(levels, base, past, END))
        assert scorer.final(state)[0] == pytest.approx(end, abs=near)


def test_kenlm_agrees(tmp_path: Path) -> None:
    kenlm = pytest.importorskip("kenlm")
    levels, base = train(SENTENCES, VOCAB, 3, 1e-3)
    write(levels, tmp_path / "lm.arpa", [*"abcdef", "<s>", "</s>"], base)
    model = kenlm.Model(str(tmp_path / "lm.arpa"))
    for sentence in ([0, 1, 2], [5, 5], [3, 2, 1, 0, 4], []):
        expected, past = 0.0, [BEGIN]
        for token in (*sentence, END):
            expected += math.log10(lookup(levels, base, past, token))
            past.append(token)
        text = " ".join("abcdef"[t] for t in sentence)
        assert model.score(text, bos=True, eos=True) == pytest.approx(expected, abs=1e-3)
