"""Shallow fusion of a back-off n-gram model over the recogniser's tokens, read from ARPA.

The scorer works in rows: for a history it gives the scores of every token at once, which is
what a search over a batch needs; rows of recent histories are kept. A word-at-a-time scorer
such as KenLM would be called once for every token of every hypothesis.
"""

from __future__ import annotations

import gzip
import math
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streamer.asr.streaming.engine import Floats
from streamer.errors import ModelError

__all__ = ["NgramScorer"]

_LN10 = math.log(10.0)
_ROWS = 4096
_UNSEEN = -20.0
Context = tuple[int, ...]


class NgramScorer:
    """``weight * log P(token | history) + bonus`` for every token but blank.

    ``bonus`` offsets that a language model makes every further token cost something. Raises
    :class:`ModelError` (``asr.lm.bad``) for a file that is not ARPA or knows none of the tokens.
    """

    def __init__(
        self,
        path: Path,
        tokens: Sequence[str],
        blank: int,
        weight: float = 0.3,
        bonus: float = 0.0,
    ) -> None:
        self._blank, self._weight, self._bonus = blank, weight, bonus
        self._vocab = len(tokens)
        self._begin, self._end = self._vocab, self._vocab + 1
        ids = {token: i for i, token in enumerate(tokens) if i != blank}
        ids |= {"<s>": self._begin, "</s>": self._end}
        after: dict[Context, list[tuple[int, float]]] = {}
        self._backoff: dict[Context, float] = {}
        self.order = 0
        try:
            for words, logp, backoff in _read(path):
                context = tuple(ids.get(word, -1) for word in words)
                if -1 in context:
                    continue
                self.order = max(self.order, len(context))
                after.setdefault(context[:-1], []).append((context[-1], logp * _LN10))
                if backoff:
                    self._backoff[context] = backoff * _LN10
        except (OSError, EOFError, ValueError, UnicodeDecodeError) as error:
            raise _bad(path, str(error)) from None
        if not any(token < self._vocab for token, _ in after.get((), [])):
            raise _bad(path, "it holds none of the model's tokens")
        self._after: dict[Context, tuple[NDArray[np.int64], Floats]] = {
            context: (
                np.array([token for token, _ in pairs], np.int64),
                np.array([logp for _, logp in pairs], np.float32),
            )
            for context, pairs in after.items()
        }
        self._lock = threading.Lock()
        self._contexts: list[Context] = []
        self._states: dict[Context, int] = {}
        self._rows: dict[Context, Floats] = {}
        self._first = self._state((self._begin,))

    def start(self) -> int:
        """After the beginning-of-sentence mark."""
        return self._first

    def scores(self, states: NDArray[np.int64]) -> Floats:
        """``[H] -> [H, V]``."""
        rows = np.stack([self._row(self._contexts[s])[: self._vocab] for s in states.tolist()])
        scores: Floats = rows * np.float32(self._weight) + np.float32(self._bonus)
        scores[:, self._blank] = 0.0
        return scores

    def advance(self, states: NDArray[np.int64], tokens: NDArray[np.int64]) -> NDArray[np.int64]:
        """The longest known history that ends in the token."""
        pairs = zip(states.tolist(), tokens.tolist(), strict=True)
        return np.array([self._state((*self._contexts[s], t)) for s, t in pairs], np.int64)

    def final(self, states: NDArray[np.int64]) -> Floats:
        """The weighted score of the end-of-sentence mark."""
        ends = [self._row(self._contexts[s])[self._end] for s in states.tolist()]
        return np.array(ends, np.float32) * np.float32(self._weight)

    def _state(self, history: Context) -> int:
        context = history[-(self.order - 1) :] if self.order > 1 else ()
        while context and context not in self._after:
            context = context[1:]
        state = self._states.get(context)
        if state is None:
            with self._lock:  # two threads of an engine may meet the same history
                state = self._states.setdefault(context, len(self._contexts))
                if state == len(self._contexts):
                    self._contexts.append(context)
        return state

    def _row(self, context: Context) -> Floats:
        """log P(. | context) over tokens, begin and end: explicit, else backed off."""
        row = self._rows.get(context)
        if row is None:
            if context:
                row = self._row(context[1:]) + np.float32(self._backoff.get(context, 0.0))
            else:
                row = np.full(self._vocab + 2, _UNSEEN, np.float32)
            if context in self._after:
                tokens, logps = self._after[context]
                row[tokens] = logps
            if len(self._rows) >= _ROWS:
                for old in list(self._rows)[: _ROWS // 2]:
                    self._rows.pop(old, None)
            self._rows[context] = row
        return row


def _read(path: Path) -> Iterator[tuple[list[str], float, float]]:
    """Entries of an ARPA file (``.gz`` or plain): words, log10 probability, log10 back-off."""
    opener = gzip.open if path.suffix == ".gz" else open
    order = 0
    ended = False
    with opener(path, "rt", encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            line = line.strip("\n")
            if line.startswith("\\"):
                ended = line == "\\end\\"
                if line.endswith("-grams:"):
                    order = int(line[1:].split("-")[0])
            elif order and line.strip():
                parts = line.split("\t")
                if len(parts) not in (2, 3):
                    raise ValueError(f"line {number} is not an n-gram: {line!r}")
                words = parts[1].split(" ")
                if len(words) != order:
                    raise ValueError(f"line {number} holds no {order}-gram: {line!r}")
                yield words, float(parts[0]), float(parts[2]) if len(parts) == 3 else 0.0
    if not ended:
        raise ValueError(r"it does not end in \end\ ")


def _bad(path: Path, why: str) -> ModelError:
    return ModelError(
        f"{path} cannot be used as a language model: {why}",
        code="asr.lm.bad",
        hint="Make one for this model with tools/train_lm.py.",
    )
