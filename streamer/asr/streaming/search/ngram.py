"""Shallow fusion of a back-off n-gram model over the recogniser's tokens.

The scorer works in rows: for a history it gives the scores of every token at once, which is
what a search over a batch needs; rows of recent histories are kept. A word-at-a-time scorer
such as KenLM would be called once for every token of every hypothesis.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streamer.asr.streaming.engine import Floats
from streamer.asr.streaming.search.ngram_file import Level, read_model

__all__ = ["NgramScorer"]

_LN10 = np.float32(math.log(10.0))
_ROWS = 4096
_UNSEEN = -20.0
Ints = NDArray[np.int64]


class NgramScorer:
    """``weight * log P(token | history) + bonus`` for every token but blank.

    A state is the longest history the model knows, as a number: its tokens as digits in base
    ``V + 2``, times the order, plus their count. ``bonus`` offsets that a language model makes
    every further token cost something. Raises :class:`ModelError` (``asr.lm.bad``).
    """

    def __init__(
        self,
        path: Path,
        tokens: Sequence[str],
        blank: int,
        weight: float = 0.3,
        bonus: float = 0.0,
    ) -> None:
        self._blank, self._weight, self._bonus = blank, np.float32(weight), np.float32(bonus)
        self._vocab = len(tokens)
        self._base = len(tokens) + 2
        self._levels = read_model(path, tokens, blank)
        self.order = len(self._levels)
        self._rows: dict[int, Floats] = {}
        self._first = int(self._longest(np.array([self._vocab]), np.array([1]))[0])

    def start(self) -> int:
        """After the beginning-of-sentence mark."""
        return self._first

    def scores(self, states: Ints) -> Floats:
        """``[H] -> [H, V]``."""
        rows = np.stack([self._row(s)[: self._vocab] for s in states.tolist()])
        scores: Floats = rows * self._weight + self._bonus
        scores[:, self._blank] = 0.0
        return scores

    def advance(self, states: Ints, tokens: Ints) -> Ints:
        """The longest known history that ends in the token."""
        keys, lengths = np.divmod(states, self.order)
        return self._longest(keys * self._base + tokens, lengths + 1)

    def final(self, states: Ints) -> Floats:
        """The weighted score of the end-of-sentence mark."""
        ends = [self._row(s)[self._vocab + 1] for s in states.tolist()]
        return np.array(ends, np.float32) * self._weight

    def _longest(self, keys: Ints, lengths: Ints) -> Ints:
        """States of the longest ends of these histories that anything follows."""
        states = np.zeros(len(keys), np.int64)
        for n in range(1, self.order):
            grams = self._levels[n].keys
            tails = keys % self._base**n
            places = np.searchsorted(grams, tails * self._base)
            follows = grams.take(places, mode="clip") // self._base == tails
            known = follows & (places < len(grams)) & (lengths >= n)
            states[known] = tails[known] * self.order + n
        return states

    def _row(self, state: int) -> Floats:
        """log P(. | history) over tokens, begin and end: explicit, else backed off."""
        row = self._rows.get(state)
        if row is not None:
            return row
        key, length = divmod(state, self.order)
        if length:
            shorter = key % self._base ** (length - 1)
            row = self._row(shorter * self.order + length - 1) + self._backoff(key, length)
        else:
            row = np.full(self._base, _UNSEEN, np.float32)
        level = self._levels[length]
        low, high = np.searchsorted(level.keys, (key * self._base, (key + 1) * self._base))
        found = level.logp[low:high].astype(np.float32)
        row[level.keys[low:high] - key * self._base] = found * _LN10
        if len(self._rows) >= _ROWS:
            for old in list(self._rows)[: _ROWS // 2]:
                self._rows.pop(old, None)
        self._rows[state] = row
        return row

    def _backoff(self, key: int, length: int) -> np.float32:
        level: Level = self._levels[length - 1]
        place = int(np.searchsorted(level.keys, key))
        if place < len(level.keys) and level.keys[place] == key:
            return np.float32(level.backoff[place]) * _LN10
        return np.float32(0.0)
