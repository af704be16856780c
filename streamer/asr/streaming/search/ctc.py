"""Searches over the CTC head: best path, and prefix beam (Hannun et al. 2014, arXiv:1408.2873)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from heapq import nlargest

import numpy as np

from streamer.asr.streaming.engine import Encoded, Floats, ModelInfo
from streamer.asr.streaming.search.base import Fusion, Hypothesis, SearchState
from streamer.asr.streaming.search.beam import common_prefix
from streamer.errors import ModelError

__all__ = ["CtcBeamSearch", "CtcGreedySearch"]

_NONE = -np.inf
_CANDIDATES = 12
"""Tokens of a frame that the prefix beam looks at."""


@dataclass(slots=True)
class CtcState(SearchState):
    """Best path: the tokens, and the token of the last frame."""

    tokens: list[int] = field(default_factory=list)
    frames: list[int] = field(default_factory=list)
    logps: list[float] = field(default_factory=list)
    score: float = 0.0
    last: int = -1


class CtcGreedySearch:
    """The best token of every frame; repeats are one, blanks are none."""

    def __init__(self, info: ModelInfo) -> None:
        self._info = _with_head(info)

    def start(self) -> CtcState:
        """State of a new stream."""
        return CtcState(last=self._info.blank)

    def advance(self, states: Sequence[CtcState], encoded: Encoded) -> None:
        """Take one chunk of every session."""
        logps = _ctc(encoded, self._info)
        best = logps.argmax(axis=-1)
        values = logps.max(axis=-1)
        for state, row, scores in zip(states, best.tolist(), values.tolist(), strict=True):
            for token, score in zip(row, scores, strict=True):
                state.score += score
                if token != state.last and token != self._info.blank:
                    state.tokens.append(token)
                    state.frames.append(state.frame)
                    state.logps.append(score)
                state.last = token
                state.frame += 1

    def best(self, state: CtcState) -> Hypothesis:
        """All of it is stable."""
        count = len(state.tokens)
        return Hypothesis(
            tuple(state.tokens), tuple(state.frames), tuple(state.logps), count, state.score
        )

    def finish(self, state: CtcState) -> Hypothesis:
        """The same."""
        return self.best(state)

    def restart(self, state: CtcState, drop: int | None = None) -> None:
        """Begin the next segment."""
        count = len(state.tokens) if drop is None else drop
        for history in (state.tokens, state.frames, state.logps):
            del history[:count]
        state.score = 0.0
        if drop is None:
            state.last = self._info.blank


@dataclass(slots=True)
class _Prefix:
    """Log-probabilities of all paths that spell ``tokens``, ending in blank and not."""

    tokens: tuple[int, ...]
    frames: tuple[int, ...]
    logps: tuple[float, ...]
    fused: tuple[int, ...]
    extra: float
    blank: float = _NONE
    other: float = _NONE

    @property
    def acoustic(self) -> float:
        return float(np.logaddexp(self.blank, self.other))

    @property
    def score(self) -> float:
        return self.acoustic + self.extra


@dataclass(slots=True)
class CtcBeamState(SearchState):
    """The prefixes of a session, best first."""

    prefixes: list[_Prefix] = field(default_factory=list)


class CtcBeamSearch:
    """Keeps the ``beam`` best prefixes of every session; scorers count once per token."""

    def __init__(self, info: ModelInfo, fusion: Fusion | None = None, beam: int = 8) -> None:
        self._info = _with_head(info)
        self._fusion = fusion or Fusion(())
        self._beam = beam

    def start(self) -> CtcBeamState:
        """State of a new stream."""
        return CtcBeamState(prefixes=[self._seed()])

    def advance(self, states: Sequence[CtcBeamState], encoded: Encoded) -> None:
        """Take one chunk of every session."""
        logps = _ctc(encoded, self._info)
        count = min(_CANDIDATES, logps.shape[2])
        top = np.argpartition(logps, -count, axis=-1)[..., -count:]
        for state, frames, tokens in zip(states, logps, top, strict=True):
            for row, candidates in zip(frames, tokens.tolist(), strict=True):
                state.prefixes = self._step(state, row, candidates)
                state.frame += 1

    def best(self, state: CtcBeamState) -> Hypothesis:
        """The best prefix; stable is what all of them share."""
        stable = common_prefix([prefix.tokens for prefix in state.prefixes])
        return _hypothesis(state.prefixes[0], stable)

    def finish(self, state: CtcBeamState) -> Hypothesis:
        """The best prefix, what the scorers say of the end taken into account."""
        if self._fusion:
            ends = self._fusion.final([prefix.fused for prefix in state.prefixes])
            scores = [p.score + float(e) for p, e in zip(state.prefixes, ends, strict=True)]
            state.prefixes = [state.prefixes[i] for i in np.argsort(scores)[::-1]]
        return _hypothesis(state.prefixes[0], len(state.prefixes[0].tokens))

    def restart(self, state: CtcBeamState, drop: int | None = None) -> None:
        """Begin the next segment with one prefix."""
        best = state.prefixes[0]
        if drop is None:
            state.prefixes = [self._seed()]
            return
        # The newest token may go on into the next frame: which of the two it was must survive.
        blank, other = best.blank - best.acoustic, best.other - best.acoustic
        state.prefixes = [
            _Prefix(
                best.tokens[drop:],
                best.frames[drop:],
                best.logps[drop:],
                best.fused,
                0.0,
                blank,
                other,
            )
        ]

    def _seed(self) -> _Prefix:
        return _Prefix((), (), (), self._fusion.start(), 0.0, blank=0.0)

    def _step(self, state: CtcBeamState, row: Floats, candidates: list[int]) -> list[_Prefix]:
        old = state.prefixes
        fused = self._fusion.scores([p.fused for p in old]) if self._fusion else None
        table: dict[tuple[int, ...], _Prefix] = {}
        for prefix in old:
            stay = _copy(prefix)
            stay.blank = prefix.acoustic + float(row[self._info.blank])
            if prefix.tokens:
                stay.other = prefix.other + float(row[prefix.tokens[-1]])
            table[prefix.tokens] = stay
        grown: list[_Prefix] = []
        for place, prefix in enumerate(old):
            acoustic = prefix.acoustic
            for token in candidates:
                if token == self._info.blank:
                    continue
                repeat = bool(prefix.tokens) and token == prefix.tokens[-1]
                logp = float(row[token])
                score = (prefix.blank if repeat else acoustic) + logp
                if score == _NONE:
                    continue
                tokens = (*prefix.tokens, token)
                target = table.get(tokens)
                if target is None:
                    gain = 0.0 if fused is None else float(fused[place, token])
                    target = _Prefix(
                        tokens,
                        (*prefix.frames, state.frame),
                        (*prefix.logps, logp),
                        prefix.fused,
                        prefix.extra + gain,
                    )
                    table[tokens] = target
                    grown.append(target)
                elif logp > target.logps[-1]:
                    target.frames = (*target.frames[:-1], state.frame)
                    target.logps = (*target.logps[:-1], logp)
                target.other = float(np.logaddexp(target.other, score))
        kept = nlargest(self._beam, table.values(), key=lambda prefix: prefix.score)
        new = [prefix for prefix in grown if any(prefix is other for other in kept)]
        if self._fusion and new:
            moved = self._fusion.advance([p.fused for p in new], [p.tokens[-1] for p in new])
            for prefix, states in zip(new, moved, strict=True):
                prefix.fused = states
        return kept


def _with_head(info: ModelInfo) -> ModelInfo:
    if not info.has_ctc:
        raise ModelError(
            f"{info.name} has no CTC head",
            code="asr.model.ctc",
            hint="Use the greedy or beam search.",
        )
    return info


def _ctc(encoded: Encoded, info: ModelInfo) -> Floats:
    assert encoded.ctc is not None
    if not info.silent:
        return encoded.ctc
    logps = encoded.ctc.copy()
    logps[..., list(info.silent)] = -np.inf
    return logps


def _copy(prefix: _Prefix) -> _Prefix:
    return _Prefix(prefix.tokens, prefix.frames, prefix.logps, prefix.fused, prefix.extra)


def _hypothesis(prefix: _Prefix, stable: int) -> Hypothesis:
    return Hypothesis(prefix.tokens, prefix.frames, prefix.logps, stable, prefix.score)
