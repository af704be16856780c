"""Phrases spotted in the CTC posteriors of a streaming recogniser, without decoding a text.

Every phrase becomes a lattice of letters: nodes are places between letters, arcs are the tokens
that spell what lies between two places, so nobody has to know how the model cuts the phrase.
Each frame the best CTC path (Graves et al. 2006) into every place is kept, its score relative to
the best token of each frame: a keyword against a filler that may say anything (Hwang, Lee and Sung
2015, arXiv:1512.08903). A phrase whose path loses little to the filler was said.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamer.asr.streaming.engine import Floats, ModelInfo
from streamer.errors import InputError

__all__ = ["Found", "KeywordGraph", "KeywordSpotter"]

WORD = "\u2581"
NONE = np.float32(-1e9)
LETTERS_PER_TOKEN = 3.0
SETTLE = 3
"""Frames after the last token in which the word may turn out to go on ("light" - "lightning")."""
SLOWEST = 0.35
"""Seconds a letter may take, on average; half a second is added."""


@dataclass(frozen=True, slots=True)
class Found:
    """A phrase from ``start`` to ``end`` (frames, end exclusive); ``confidence`` in 0..1."""

    phrase: str
    start: int
    end: int
    confidence: float


class KeywordGraph:
    """The lattices of ``phrases`` (phrase -> threshold in 0..1), shared by all sessions.

    Raises ``events.keyword.phrase`` for what the model cannot write.
    """

    def __init__(self, info: ModelInfo, phrases: Mapping[str, float]) -> None:
        hidden = {info.blank, *info.silent}
        spelled: dict[str, list[int]] = {}
        self.continues = np.zeros(info.vocab, bool)
        """Tokens that carry a word on."""
        for i, token in enumerate(info.tokens):
            letters = token.replace(" ", WORD).casefold()
            if i not in hidden and letters:
                spelled.setdefault(letters, []).append(i)
                self.continues[i] = not letters.startswith(WORD)
        self.blank = info.blank
        self.frame_seconds = info.frame_seconds
        self.phrases = list(phrases)
        self.thresholds = np.array(list(phrases.values()), np.float32)
        longest = max(map(len, spelled))
        arcs: list[tuple[int, int, int]] = []
        starts: list[int] = []
        ends: list[int] = []
        lengths: list[int] = []
        for phrase in self.phrases:
            letters = WORD + WORD.join(phrase.casefold().split())
            base = ends[-1] + 1 if ends else 0
            mine = [
                (base + i, base + j, token)
                for i in range(len(letters))
                for j in range(i + 1, min(i + longest, len(letters)) + 1)
                for token in spelled.get(letters[i:j], ())
            ]
            reached = {base}
            for begin, end, _ in mine:  # sorted by where they begin
                if begin in reached:
                    reached.add(end)
            if base + len(letters) not in reached or letters == WORD:
                raise InputError(
                    f"the model cannot write the phrase {phrase!r}",
                    code="events.keyword.phrase",
                    hint="Spell it in the letters of the model's tokens.txt, numbers as words.",
                )
            arcs += [arc for arc in mine if arc[0] in reached]
            starts.append(base)
            ends.append(base + len(letters))
            lengths.append(len(letters) - 1)
        table = np.array(arcs, np.int64)
        self.source, self.target, self.token = table.T
        self.nodes = ends[-1] + 1
        self.first, self.last = np.array(starts), np.array(ends)
        self.tokens_of = np.maximum(np.array(lengths) / LETTERS_PER_TOKEN, 1.0)
        self.limit = np.array(lengths) * SLOWEST + 0.5
        """Seconds a phrase may take."""
        self.into = self._padded([np.flatnonzero(self.target == n) for n in range(self.nodes)])
        """Arcs into each node; the number of arcs stands for none."""
        again = [
            bool(np.isin(self.token[a], self.token[self.target == self.source[a]]))
            for a in range(len(arcs))
        ]
        self.needs_blank = np.array(again)
        """Arcs whose token may be the one before: a blank must lie between."""

    def _padded(self, rows: list[NDArray[np.int64]]) -> NDArray[np.int64]:
        width = max(1, max(map(len, rows)))
        out = np.full((len(rows), width), len(self.token), np.int64)
        for i, row in enumerate(rows):
            out[i, : len(row)] = row
        return out


class KeywordSpotter:
    """One stream: frames in, phrases out. Frames may come in any number at a time."""

    def __init__(self, graph: KeywordGraph) -> None:
        self._g, self._seconds = graph, graph.frame_seconds
        self._limit = np.maximum(graph.limit / graph.frame_seconds, 1.0)
        self.frame = 0
        self._forget()

    def _forget(self) -> None:
        g = self._g
        self._arc = np.full(len(g.token) + 1, NONE)
        self._arc_start = np.zeros(len(g.token) + 1, np.int64)
        self._node = np.full(g.nodes, NONE)
        self._node_start = np.zeros(g.nodes, np.int64)
        self._waiting: dict[int, tuple[Found, int]] = {}

    def push(self, logps: Floats) -> list[Found]:
        """CTC log-probabilities ``[n, V]``; what turned out to have been said."""
        found: list[Found] = []
        for row in logps:
            best = int(row.argmax())
            found += self._settle(best)
            self._advance(row - row[best])
            self._look()
            self.frame += 1
        return found

    def finish(self) -> list[Found]:
        """The stream ends, or begins anew: what was still waiting to settle."""
        found = [candidate for candidate, _ in self._waiting.values()]
        self._forget()
        return found

    def _advance(self, row: Floats) -> None:
        g = self._g
        node, node_start = self._node, self._node_start
        node[g.first], node_start[g.first] = 0.0, self.frame
        pick = self._arc[g.into].argmax(axis=1)
        chosen = g.into[np.arange(g.nodes), pick]
        came, came_start = self._arc[chosen], self._arc_start[chosen]
        # an arc goes on, or is entered from its node, or straight from the arc before
        entry, entry_start = node[g.source], node_start[g.source]
        straight = np.where(g.needs_blank, NONE, came[g.source])
        better = straight > entry
        entry = np.where(better, straight, entry)
        entry_start = np.where(better, came_start[g.source], entry_start)
        stay = self._arc[:-1] >= entry
        emitted = row[g.token]
        arc = np.maximum(np.where(stay, self._arc[:-1], entry) + emitted, NONE)
        start = np.where(stay, self._arc_start[:-1], entry_start)
        better = came > node
        self._node = np.maximum(np.where(better, came, node) + row[g.blank], NONE)
        self._node_start = np.where(better, came_start, node_start)
        self._arc = np.append(arc, NONE)
        self._arc_start = np.append(start, 0)

    def _look(self) -> None:
        """Note phrases whose last token has just been heard."""
        g = self._g
        ends = g.into[g.last]
        place = self._arc[ends].argmax(axis=1)
        arcs = ends[np.arange(len(ends)), place]
        confidence = np.exp(self._arc[arcs] / g.tokens_of)
        length = self.frame + 1 - self._arc_start[arcs]
        for k in np.flatnonzero((confidence >= g.thresholds) & (length <= self._limit)).tolist():
            value = float(confidence[k])
            before = self._waiting.get(k)
            if before is None or value > before[0].confidence:
                start = int(self._arc_start[arcs[k]])
                found = Found(g.phrases[k], start, self.frame + 1, value)
                self._waiting[k] = (found, int(g.token[arcs[k]]))

    def _settle(self, best: int) -> list[Found]:
        """Phrases whose word is over, now that the frame's best token is known."""
        over = []
        for k, (candidate, last) in list(self._waiting.items()):
            if best == last:
                continue
            if self._g.continues[best]:
                del self._waiting[k]
            elif best != self._g.blank or self.frame - candidate.end >= SETTLE - 1:
                over.append(candidate)
        if over:
            # one mouth, one phrase: the surest; nothing of it may serve another
            self._forget()
            return [max(over, key=lambda found: found.confidence)]
        return []
