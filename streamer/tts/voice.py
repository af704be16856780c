"""What every voice offers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from streamer.packets import Samples, Word

__all__ = ["Run", "Voice", "spread"]


@dataclass(frozen=True, slots=True)
class Run:
    """A piece of a spoken clause: ``samples`` float32 [n], mono; the words that begin in it.

    Word times are seconds since the clause began.
    """

    samples: Samples
    words: tuple[Word, ...] = ()


class Voice(Protocol):
    """Speaks clauses; calls block, so they belong on a worker thread."""

    rate: int
    """Hz."""

    def speak(self, text: str) -> Iterator[Run]:
        """Sound of one clause, in pieces as they are ready. Raises StreamerError."""


def spread(text: str, seconds: float) -> tuple[Word, ...]:
    """Times for words by their length, where a voice does not tell."""
    words = text.split()
    total = sum(len(w) + 1 for w in words) or 1
    out, at = [], 0.0
    for word in words:
        end = at + seconds * (len(word) + 1) / total
        out.append(Word(word, at, end))
        at = end
    return tuple(out)
