"""What every search shares: hypotheses, the search interface, scores added from outside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from streamer.asr.streaming.engine import Encoded, Floats

__all__ = ["Fusion", "Hypothesis", "Scorer", "Search", "SearchState", "log_softmax"]

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """The best reading of a segment so far.

    ``tokens`` with the encoder frame (since the stream began) and the log-posterior of each;
    the first ``stable`` of them will not change.
    """

    tokens: tuple[int, ...]
    frames: tuple[int, ...]
    logps: tuple[float, ...]
    stable: int
    score: float


@dataclass(slots=True)
class SearchState:
    """Base of what a search keeps for a session; ``frame`` counts encoder frames seen."""

    frame: int = 0


class Scorer(Protocol):
    """Scores (natural log) added to tokens while searching: a language model, boosted phrases.

    States are whole numbers, so that a batch of hypotheses is an array.
    """

    def start(self) -> int:
        """State at the beginning of a segment."""

    def scores(self, states: Ints) -> Floats:
        """What each next token would add: ``[H] -> [H, V]``, zero for blank."""

    def advance(self, states: Ints, tokens: Ints) -> Ints:
        """States after these tokens: ``[H], [H] -> [H]``."""

    def final(self, states: Ints) -> Floats:
        """What the end of the segment adds: ``[H] -> [H]``."""


class Fusion:
    """Several scorers as one; a hypothesis carries one state for each."""

    def __init__(self, scorers: Sequence[Scorer]) -> None:
        self._scorers = tuple(scorers)

    def __bool__(self) -> bool:
        return bool(self._scorers)

    def start(self) -> tuple[int, ...]:
        """States at the beginning of a segment."""
        return tuple(scorer.start() for scorer in self._scorers)

    def scores(self, states: Sequence[tuple[int, ...]]) -> Floats:
        """``[H, V]``."""
        columns = np.array(states, np.int64)
        parts = [s.scores(columns[:, i]) for i, s in enumerate(self._scorers)]
        total: Floats = parts[0] if len(parts) == 1 else np.sum(parts, axis=0, dtype=np.float32)
        return total

    def advance(
        self, states: Sequence[tuple[int, ...]], tokens: Sequence[int]
    ) -> list[tuple[int, ...]]:
        """States after one token each."""
        columns, fed = np.array(states, np.int64), np.array(tokens, np.int64)
        moved = [s.advance(columns[:, i], fed) for i, s in enumerate(self._scorers)]
        return [tuple(int(x) for x in row) for row in zip(*moved, strict=True)]

    def final(self, states: Sequence[tuple[int, ...]]) -> Floats:
        """``[H]``."""
        columns = np.array(states, np.int64)
        parts = [s.final(columns[:, i]) for i, s in enumerate(self._scorers)]
        total: Floats = np.sum(parts, axis=0, dtype=np.float32)
        return total


class Search(Protocol):
    """Turns encoder frames of a batch of sessions into hypotheses.

    All methods belong to the engine's thread. ``advance`` only touches the states it is given,
    and treats each as if it were alone.
    """

    def start(self) -> Any:
        """State of a new stream."""

    def advance(self, states: Sequence[Any], encoded: Encoded) -> None:
        """Take one chunk of every session."""

    def best(self, state: Any) -> Hypothesis:
        """The best hypothesis of the segment."""

    def finish(self, state: Any) -> Hypothesis:
        """The best hypothesis, the end of the segment taken into account."""

    def restart(self, state: Any, drop: int | None = None) -> None:
        """Begin the next segment. ``drop``: forget only that many tokens of the best hypothesis."""


def log_softmax(logits: Floats) -> Floats:
    """Over the last axis."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    out: Floats = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return out
