"""Who is spoken to: turns that follow a wake word, without the wake word."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import SequenceMatcher

from streamer.packets import AudioEvent, UserTurn
from streamer.turns.words import words_of

__all__ = ["Wakes", "without_phrase"]

LIKENESS = 0.7
"""Of letters, from which words of the recogniser count as the wake word."""
SLACK = 0.5
"""Seconds by which two clocks of the same word may differ."""


def without_phrase(text: str, phrase: str) -> str:
    """``text`` behind ``phrase``, which the recogniser may have written a little differently.

    Only the whole text comes back if nothing in it is like the phrase.
    """
    wanted = "".join(words_of(phrase))
    pieces = text.split()
    bare = ["".join(words_of(piece)) for piece in pieces]
    best, cut = LIKENESS, 0
    count = len(phrase.split())
    for begin in range(len(pieces)):
        for end in range(begin + 1, min(begin + count + 2, len(pieces)) + 1):
            likeness = SequenceMatcher(None, "".join(bare[begin:end]), wanted, False).ratio()
            if likeness > best:
                best, cut = likeness, end
    rest = " ".join(pieces[cut:])
    return rest[:1].upper() + rest[1:] if cut else text


@dataclass
class Wakes:
    """Remembers the newest wake word. Times are media seconds.

    A turn is meant if a wake word lies in it, or ended at most ``window`` s before it began;
    ``open_until`` prolongs that, for what follows an answer.
    """

    window: float = 8.0
    newest: AudioEvent | None = None
    open_until: float = -1.0
    heard: int = 0
    """Wake words so far."""

    def wake(self, event: AudioEvent) -> None:
        """A wake word was heard."""
        self.newest = event
        self.heard += 1

    def meant(self, turn: UserTurn) -> str | None:
        """What the turn asks for, perhaps nothing (""); None if it is not meant for us."""
        wake = self.newest
        if wake is not None:
            end = wake.start if wake.end is None else wake.end
            if turn.start - SLACK <= wake.start and end <= turn.end + SLACK:
                rest = without_phrase(turn.text, wake.label)
                return "" if rest == turn.text and len(words_of(rest)) <= 2 else rest
            if end <= turn.start + SLACK and turn.start <= end + self.window:
                return turn.text
        return turn.text if turn.start <= self.open_until else None
