"""Beam search for transducers, batched over the sessions and their hypotheses.

Frame by frame. Hypotheses that have not yet taken blank at a frame are expanded by every
token; the union of finished and unfinished ones is pruned to ``beam`` after each expansion, so
a beam of one is the greedy search. With one symbol a frame this is the "modified beam search"
of icefall (Kang et al. 2022, arXiv:2211.00484). Hypotheses with the same tokens are merged.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from heapq import nlargest

import numpy as np

from streamer.asr.streaming.engine import Encoded, Floats, PredictorState, StreamingEngine
from streamer.asr.streaming.search.base import Fusion, Hypothesis, SearchState, log_softmax

__all__ = ["BeamSearch", "common_prefix"]


@dataclass(slots=True)
class _Hyp:
    tokens: tuple[int, ...]
    frames: tuple[int, ...]
    logps: tuple[float, ...]
    score: float
    fused: tuple[int, ...]
    predicted: Floats | None = None
    predictor: PredictorState = ()


@dataclass(slots=True)
class BeamState(SearchState):
    """The hypotheses of a session, best first."""

    hyps: list[_Hyp] = field(default_factory=list)


class BeamSearch:
    """Keeps the ``beam`` best token sequences of every session."""

    def __init__(
        self, engine: StreamingEngine, fusion: Fusion | None = None, beam: int = 4
    ) -> None:
        self._engine = engine
        self._fusion = fusion or Fusion(())
        self._info = engine.info
        self._silent = list(engine.info.silent)
        self._beam = beam

    def start(self) -> BeamState:
        """State of a new stream."""
        return BeamState(hyps=[self._seed()])

    def advance(self, states: Sequence[BeamState], encoded: Encoded) -> None:
        """Take one chunk of every session."""
        self._prime([hyp for state in states for hyp in state.hyps if hyp.predicted is None])
        for t in range(encoded.frames.shape[1]):
            live = [state.hyps for state in states]
            done: list[list[_Hyp]] = [[] for _ in states]
            for _ in range(self._info.max_symbols):
                self._expand(states, encoded.frames[:, t], live, done)
                if not any(live):
                    break
            for state, ended, open_ in zip(states, done, live, strict=True):
                state.hyps = nlargest(self._beam, _merge([*ended, *open_]), key=_score)
                state.frame += 1

    def best(self, state: BeamState) -> Hypothesis:
        """The best hypothesis; stable is what all of them share."""
        return _result(state.hyps[0], common_prefix([hyp.tokens for hyp in state.hyps]))

    def finish(self, state: BeamState) -> Hypothesis:
        """The best hypothesis, what the scorers say of the end taken into account."""
        if self._fusion:
            extra = self._fusion.final([hyp.fused for hyp in state.hyps])
            scores = [hyp.score + float(e) for hyp, e in zip(state.hyps, extra, strict=True)]
            state.hyps = [state.hyps[i] for i in np.argsort(scores)[::-1]]
        best = state.hyps[0]
        return _result(best, len(best.tokens))

    def restart(self, state: BeamState, drop: int | None = None) -> None:
        """Begin the next segment with one hypothesis."""
        best = state.hyps[0]
        if drop is None:
            state.hyps = [self._seed()]
        else:
            state.hyps = [
                replace(
                    best,
                    tokens=best.tokens[drop:],
                    frames=best.frames[drop:],
                    logps=best.logps[drop:],
                    score=0.0,
                )
            ]

    def _seed(self) -> _Hyp:
        return _Hyp((), (), (), 0.0, self._fusion.start())

    def _expand(
        self,
        states: Sequence[BeamState],
        frames: Floats,
        live: list[list[_Hyp]],
        done: list[list[_Hyp]],
    ) -> None:
        """One step: every live hypothesis takes blank (into ``done``) or one token."""
        owners = [i for i, hyps in enumerate(live) for _ in hyps]
        flat = [hyp for hyps in live for hyp in hyps]
        predicted = np.stack([hyp.predicted for hyp in flat if hyp.predicted is not None])
        logits = self._engine.join(frames[owners][:, None], predicted)[:, 0]
        if self._silent:
            logits[:, self._silent] = -np.inf
        logps = log_softmax(logits)
        total = logps + np.array([[hyp.score] for hyp in flat], np.float32)
        if self._fusion:
            total += self._fusion.scores([hyp.fused for hyp in flat])
        vocab, begin = total.shape[1], 0
        made: list[_Hyp] = []
        for i, hyps in enumerate(live):
            if not hyps:
                continue
            scores = total[begin : begin + len(hyps)].reshape(-1)
            top = _top(scores, self._beam)
            grown = []
            for place in top:
                row, token = divmod(int(place), vocab)
                old, score = hyps[row], float(scores[place])
                if token == self._info.blank:
                    done[i].append(replace(old, score=score))
                else:
                    logp = float(logps[begin + row, token])
                    grown.append(_grow(old, token, states[i].frame, logp, score))
            begin += len(hyps)
            kept = nlargest(self._beam, [*done[i], *grown], key=_score)
            done[i] = [hyp for hyp in kept if hyp.predicted is not None]
            live[i] = [hyp for hyp in kept if hyp.predicted is None]
            made += live[i]
        self._feed(made)

    def _prime(self, hyps: Sequence[_Hyp]) -> None:
        if hyps:
            blanks = np.full(len(hyps), self._info.blank, np.int64)
            predicted, after = self._engine.predict(blanks, self._engine.start(len(hyps)))
            _store(hyps, predicted, after)

    def _feed(self, hyps: Sequence[_Hyp]) -> None:
        """Run the predictor over the newest token of each hypothesis."""
        if not hyps:
            return
        tokens = [hyp.tokens[-1] for hyp in hyps]
        before = tuple(np.stack(parts) for parts in zip(*(h.predictor for h in hyps), strict=True))
        predicted, after = self._engine.predict(np.array(tokens, np.int64), before)
        _store(hyps, predicted, after)
        if self._fusion:
            moved = self._fusion.advance([hyp.fused for hyp in hyps], tokens)
            for hyp, fused in zip(hyps, moved, strict=True):
                hyp.fused = fused


def common_prefix(sequences: Sequence[tuple[int, ...]]) -> int:
    """How many leading tokens all sequences share."""
    low, high = min(sequences), max(sequences)
    count = 0
    for a, b in zip(low, high, strict=False):
        if a != b:
            break
        count += 1
    return count


def _grow(old: _Hyp, token: int, frame: int, logp: float, score: float) -> _Hyp:
    return _Hyp(
        (*old.tokens, token),
        (*old.frames, frame),
        (*old.logps, logp),
        score,
        old.fused,
        predictor=old.predictor,
    )


def _store(hyps: Sequence[_Hyp], predicted: Floats, after: PredictorState) -> None:
    for row, hyp in enumerate(hyps):
        hyp.predicted = predicted[row]
        hyp.predictor = tuple(part[row] for part in after)


def _merge(hyps: Iterable[_Hyp]) -> list[_Hyp]:
    """One hypothesis per token sequence: probabilities add up, times are those of the likelier."""
    merged: dict[tuple[int, ...], _Hyp] = {}
    for hyp in hyps:
        other = merged.get(hyp.tokens)
        if other is None:
            merged[hyp.tokens] = hyp
        else:
            kept = hyp if hyp.score > other.score else other
            kept.score = float(np.logaddexp(hyp.score, other.score))
            merged[hyp.tokens] = kept
    return list(merged.values())


def _top(scores: Floats, count: int) -> list[int]:
    """Places of the ``count`` largest finite scores."""
    count = min(count, scores.size)
    places = np.argpartition(scores, -count)[-count:]
    return [int(p) for p in places if scores[p] > -np.inf]


def _score(hyp: _Hyp) -> float:
    return hyp.score


def _result(hyp: _Hyp, stable: int) -> Hypothesis:
    return Hypothesis(hyp.tokens, hyp.frames, hyp.logps, stable, hyp.score)
