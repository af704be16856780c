"""Partials that grow: what several hypotheses in a row agree on is never taken back.

LocalAgreement (Liu et al. 2020, arXiv:2005.11185; Machacek et al. 2023, arXiv:2307.14743): the
longest common prefix of the last ``n`` hypotheses is stable.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

__all__ = ["LocalAgreement"]


class LocalAgreement:
    """Works on tokens but settles whole words only."""

    def __init__(self, starts_word: Callable[[int], bool], n: int = 2) -> None:
        self._starts_word = starts_word
        self._n = n
        self._past: list[tuple[int, ...]] = []
        self.stable: tuple[int, ...] = ()

    def update(self, hypothesis: Sequence[int]) -> tuple[int, ...]:
        """Take in the newest hypothesis, which begins with ``stable``; the new ``stable``."""
        self._past = [*self._past[-(self._n - 1) :], tuple(hypothesis)]
        if len(self._past) == self._n:
            common = _common_prefix(self._past)
            length = len(common)
            if not all(len(p) > length and self._starts_word(p[length]) for p in self._past):
                # The last word of the agreement may still go on in the next hypothesis.
                while length and not self._starts_word(common[length - 1]):
                    length -= 1
                length = max(length - 1, 0)
            if length > len(self.stable):
                self.stable = common[:length]
        return self.stable


def _common_prefix(sequences: Sequence[Sequence[int]]) -> tuple[int, ...]:
    shortest = min(sequences, key=len)
    for index, token in enumerate(shortest):
        if any(sequence[index] != token for sequence in sequences):
            return tuple(shortest[:index])
    return tuple(shortest)
