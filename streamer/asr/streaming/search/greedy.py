"""Greedy transducer search, batched over sessions by looping over labels.

Between two emissions the predictor does not change, so the joiner looks at all remaining
frames of a chunk at once and the loop runs as often as the busiest session emits, not once a
frame (Bataev et al. 2024, arXiv:2406.06220).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from streamer.asr.streaming.engine import Encoded, Floats, PredictorState, StreamingEngine
from streamer.asr.streaming.search.base import Fusion, Hypothesis, SearchState, log_softmax

__all__ = ["GreedySearch"]


@dataclass(slots=True)
class GreedyState(SearchState):
    """One hypothesis: its tokens, the predictor's output for it, the scorers' states."""

    tokens: list[int] = field(default_factory=list)
    frames: list[int] = field(default_factory=list)
    logps: list[float] = field(default_factory=list)
    score: float = 0.0
    predicted: Floats | None = None
    predictor: PredictorState = ()
    fused: tuple[int, ...] = ()


class GreedySearch:
    """Takes the best token of every frame, at most ``max_symbols`` a frame."""

    def __init__(self, engine: StreamingEngine, fusion: Fusion | None = None) -> None:
        self._engine = engine
        self._fusion = fusion or Fusion(())
        self._info = engine.info
        self._silent = list(engine.info.silent)

    def start(self) -> GreedyState:
        """State of a new stream."""
        return GreedyState(fused=self._fusion.start())

    def advance(self, states: Sequence[GreedyState], encoded: Encoded) -> None:
        """Take one chunk of every session."""
        frames = encoded.frames
        count = frames.shape[1]
        self._prime([state for state in states if state.predicted is None])
        cursor = np.zeros(len(states), np.int64)
        repeated = np.zeros(len(states), np.int64)
        active = np.arange(len(states))
        while active.size:
            begin = int(cursor[active].min())
            batch = [states[i] for i in active.tolist()]
            logits = self._engine.join(
                frames[active, begin:], np.stack([_row(s.predicted) for s in batch])
            )
            if self._silent:
                logits[..., self._silent] = -np.inf
            total = logits
            if self._fusion:
                total = logits + self._fusion.scores([s.fused for s in batch])[:, None]
            best = total.argmax(axis=-1)
            emits = (best != self._info.blank) & (
                np.arange(begin, count)[None] >= cursor[active, None]
            )
            found = emits.any(axis=1)
            where = emits.argmax(axis=1)
            active, where, rows = active[found], where[found], np.flatnonzero(found)
            if not active.size:
                break
            tokens = best[rows, where]
            logps = log_softmax(logits[rows, where])[np.arange(len(rows)), tokens]
            gains = total[rows, where, tokens] - logits[rows, where, tokens] + logps
            at = begin + where
            repeated[active] = np.where(at == cursor[active], repeated[active], 0) + 1
            cursor[active] = at
            for i, token, t, logp, gain in zip(active, tokens, at, logps, gains, strict=True):
                state = states[i]
                state.tokens.append(int(token))
                state.frames.append(state.frame + int(t))
                state.logps.append(float(logp))
                state.score += float(gain)
            self._feed([states[i] for i in active], tokens)
            full = active[repeated[active] >= self._info.max_symbols]
            cursor[full] += 1
            repeated[full] = 0
            active = active[cursor[active] < count]
        for state in states:
            state.frame += count

    def best(self, state: GreedyState) -> Hypothesis:
        """All of it is stable."""
        return Hypothesis(
            tuple(state.tokens),
            tuple(state.frames),
            tuple(state.logps),
            len(state.tokens),
            state.score,
        )

    def finish(self, state: GreedyState) -> Hypothesis:
        """The same: there is no other hypothesis that the end could favour."""
        return self.best(state)

    def restart(self, state: GreedyState, drop: int | None = None) -> None:
        """Begin the next segment."""
        count = len(state.tokens) if drop is None else drop
        for history in (state.tokens, state.frames, state.logps):
            del history[:count]
        state.score = 0.0
        if drop is None:
            state.predicted, state.fused = None, self._fusion.start()

    def _prime(self, states: Sequence[GreedyState]) -> None:
        if not states:
            return
        start = self._engine.start(len(states))
        blanks = np.full(len(states), self._info.blank, np.int64)
        predicted, after = self._engine.predict(blanks, start)
        for row, state in enumerate(states):
            state.predicted = predicted[row]
            state.predictor = tuple(part[row] for part in after)

    def _feed(self, states: Sequence[GreedyState], tokens: np.ndarray) -> None:
        before = tuple(
            np.stack(parts) for parts in zip(*(s.predictor for s in states), strict=True)
        )
        predicted, after = self._engine.predict(tokens, before)
        for row, state in enumerate(states):
            state.predicted = predicted[row]
            state.predictor = tuple(part[row] for part in after)
        if self._fusion:
            moved = self._fusion.advance([s.fused for s in states], [int(t) for t in tokens])
            for state, fused in zip(states, moved, strict=True):
                state.fused = fused


def _row(predicted: Floats | None) -> Floats:
    assert predicted is not None
    return predicted
