"""From a final transcript to caption cues that a person can read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from streamer.packets import Transcript, Word

__all__ = ["Cue", "CueMaker"]

LINE = 42
"""Characters in a line and ...
(Netflix Timed Text Style Guide, general requirements: 42 characters, two lines, 7 s at most.)"""
LINES = 2
LONGEST = 7.0
SHORTEST = 0.2


@dataclass(frozen=True, slots=True)
class Cue:
    """``start`` and ``end`` in seconds, ``end > start``; one or two lines of text."""

    start: float
    end: float
    lines: tuple[str, ...]


class CueMaker:
    """Cuts finals into cues that never overlap and never go back in time."""

    def __init__(self) -> None:
        self._last = 0.0

    def cues(self, transcript: Transcript) -> list[Cue]:
        """The cues of a final; every word of its text stands in exactly one of them."""
        return [self._place(group) for group in _groups(_timed(transcript))]

    def _place(self, words: list[Word]) -> Cue:
        start = max(words[0].start, self._last)
        end = min(max(words[-1].end, start + SHORTEST), start + LONGEST)
        self._last = end
        return Cue(start, end, tuple(_lines([word.text for word in words])))


def _timed(transcript: Transcript) -> list[Word]:
    """The words of the text with times, from the recogniser where its words are the text's."""
    texts = transcript.text.split()
    if [word.text for word in transcript.words] == texts:
        return list(transcript.words)
    span = max(0.0, transcript.end - transcript.start)
    total = sum(len(text) + 1 for text in texts) or 1
    words, seen = [], 0
    for text in texts:
        begin = transcript.start + span * seen / total
        seen += len(text) + 1
        words.append(Word(text, begin, transcript.start + span * seen / total))
    return words


def _groups(words: list[Word]) -> Iterator[list[Word]]:
    group: list[Word] = []
    for word in words:
        longer = [*group, word]
        too_long = len(_lines([w.text for w in longer])) > LINES
        too_late = bool(group) and word.end - group[0].start > LONGEST
        if group and (too_long or too_late):
            yield group
            group = [word]
        else:
            group = longer
    if group:
        yield group


def _lines(texts: list[str]) -> list[str]:
    """Filled greedily; a word longer than a line has a line of its own."""
    lines: list[str] = []
    for text in texts:
        if lines and len(lines[-1]) + 1 + len(text) <= LINE:
            lines[-1] += f" {text}"
        else:
            lines.append(text)
    return lines
