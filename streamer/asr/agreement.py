"""Partials that grow: what the hypotheses of the last while agree on is never taken back.

LocalAgreement (Liu et al. 2020, arXiv:2005.11185; Machacek et al. 2023, arXiv:2307.14743) takes
the longest common prefix of the last n hypotheses. Ours come as often as the machine can make
them, so agreement is asked for over a stretch of audio instead of over a count.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

__all__ = ["LocalAgreement"]


class LocalAgreement:
    """Works on tokens but settles whole words only.

    ``span`` is in the unit of the positions given to :meth:`update` (samples).
    """

    def __init__(self, starts_word: Callable[[int], bool], span: int) -> None:
        self._starts_word = starts_word
        self._span = span
        self._past: deque[tuple[int, tuple[int, ...]]] = deque()
        self.stable: tuple[int, ...] = ()

    def update(self, hypothesis: Sequence[int], heard_to: int) -> tuple[int, ...]:
        """Take in a hypothesis on the audio up to ``heard_to``; the new stable tokens.

        The hypothesis must begin with the present ``stable``.
        """
        self._past.append((heard_to, tuple(hypothesis)))
        while len(self._past) > 2 and self._past[1][0] <= heard_to - self._span:
            self._past.popleft()
        if self._past[0][0] <= heard_to - self._span:
            settled = self._whole_words([tokens for _, tokens in self._past])
            if len(settled) > len(self.stable):
                self.stable = settled
        return self.stable

    def _whole_words(self, hypotheses: list[tuple[int, ...]]) -> tuple[int, ...]:
        common = _common_prefix(hypotheses)
        length = len(common)
        if not all(len(h) > length and self._starts_word(h[length]) for h in hypotheses):
            # The last word of the agreement may still go on in the next hypothesis.
            while length and not self._starts_word(common[length - 1]):
                length -= 1
            length = max(length - 1, 0)
        return common[:length]


def _common_prefix(sequences: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    shortest = min(sequences, key=len)
    for index, token in enumerate(shortest):
        if any(sequence[index] != token for sequence in sequences):
            return shortest[:index]
    return shortest
