"""Boosting of phrases: an Aho-Corasick automaton over letters (Aho & Corasick 1975).

Working on letters, not on tokens, it does not matter into which tokens the model cuts a
phrase, and nobody has to tokenise one. Every letter of a phrase that is being matched adds
``score``; what was added is taken back when the match breaks off, and stays when the phrase is
complete up to the end of its last word.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from streamer.asr.streaming.engine import Floats, ModelInfo
from streamer.errors import InputError

__all__ = ["PhraseBooster"]

WORD = "\u2581"


@dataclass(slots=True)
class _Node:
    children: dict[str, int] = field(default_factory=dict)
    fail: int = 0
    gain: float = 0.0
    held: float = 0.0
    """Sum of the gains from the root to here."""
    open: float = 0.0
    """The part of it that a break takes back: since the last complete phrase on the path."""
    complete: bool = False


class PhraseBooster:
    """Scores for the tokens that carry a phrase on.

    ``phrases`` maps each phrase to its score per letter (natural log; 0.3 is gentle, 1 is
    strong). Raises ``asr.boost.phrase`` for letters that the model cannot write.
    """

    def __init__(self, info: ModelInfo, phrases: Mapping[str, float]) -> None:
        hidden = {info.blank, *info.silent}
        self._letters = [
            "" if i in hidden else token.replace(" ", WORD).casefold()
            for i, token in enumerate(info.tokens)
        ]
        known = set("".join(self._letters))
        self._nodes = [_Node()]
        for phrase, score in phrases.items():
            self._add(phrase, score, known)
        self._link()
        self._rows: dict[int, tuple[Floats, NDArray[np.int64]]] = {}

    def start(self) -> int:
        """Nothing matched."""
        return 0

    def scores(self, states: NDArray[np.int64]) -> Floats:
        """``[H] -> [H, V]``."""
        return np.stack([self._row(s)[0] for s in states.tolist()])

    def advance(self, states: NDArray[np.int64], tokens: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where the letters of the tokens lead."""
        pairs = zip(states.tolist(), tokens.tolist(), strict=True)
        return np.array([self._row(s)[1][t] for s, t in pairs], np.int64)

    def final(self, states: NDArray[np.int64]) -> Floats:
        """The end of a segment ends a word; what is still incomplete then is taken back."""
        ends = [self._walk(state, WORD) for state in states.tolist()]
        return np.array([gained - self._nodes[at].open for gained, at in ends], np.float32)

    def _add(self, phrase: str, score: float, known: set[str]) -> None:
        words = phrase.casefold().split()
        strange = sorted(set("".join(words)) - known)
        if not words or strange:
            why = f"has {' '.join(map(repr, strange))}" if strange else "is empty"
            raise InputError(
                f"the phrase {phrase!r} {why}, which the model cannot write",
                code="asr.boost.phrase",
                hint="Spell it with the letters of the model's tokens.txt.",
            )
        at = 0
        for letter in WORD + WORD.join(words) + WORD:
            child = self._nodes[at].children.get(letter)
            if child is None:
                child = self._nodes[at].children[letter] = len(self._nodes)
                self._nodes.append(_Node())
            at = child
            self._nodes[at].gain = max(self._nodes[at].gain, score)
        self._nodes[at].complete = True

    def _link(self) -> None:
        nodes = self._nodes
        queue = deque([0])
        while queue:
            at = queue.popleft()
            for letter, child in nodes[at].children.items():
                node = nodes[child]
                back = nodes[at].fail
                while back and letter not in nodes[back].children:
                    back = nodes[back].fail
                node.fail = nodes[back].children.get(letter, 0) if at else 0
                node.held = nodes[at].held + node.gain
                node.open = 0.0 if node.complete else nodes[at].open + node.gain
                queue.append(child)

    def _walk(self, state: int, letters: Sequence[str]) -> tuple[float, int]:
        """Score and state after ``letters``."""
        nodes, gained = self._nodes, 0.0
        for letter in letters:
            while letter not in nodes[state].children:
                gained += nodes[nodes[state].fail].held - nodes[state].open
                if not state:
                    break
                state = nodes[state].fail
            else:
                state = nodes[state].children[letter]
                gained += nodes[state].gain
        return gained, state

    def _row(self, state: int) -> tuple[Floats, NDArray[np.int64]]:
        row = self._rows.get(state)
        if row is None:
            walked = [self._walk(state, letters) for letters in self._letters]
            row = (
                np.array([gain for gain, _ in walked], np.float32),
                np.array([after for _, after in walked], np.int64),
            )
            self._rows[state] = row
        return row
