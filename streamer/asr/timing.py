"""Word times for one reading of a segment from another reading that has them."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher

from streamer.packets import Word

__all__ = ["borrow_times", "plain"]


def borrow_times(words: Sequence[Word], timed: Sequence[Word]) -> tuple[Word, ...]:
    """``words`` with the times of ``timed`` where both say the same.

    The texts are aligned without regard to case and punctuation (Ratcliff & Obershelp 1988, as
    in :mod:`difflib`). Words in between share the time between their neighbours by length; the
    first and last fall back on the times ``words`` came with.
    """
    same = SequenceMatcher(
        None, [plain(w.text) for w in words], [plain(w.text) for w in timed], autojunk=False
    ).get_matching_blocks()
    anchors: dict[int, Word] = {
        block.a + i: timed[block.b + i] for block in same for i in range(block.size)
    }
    out: list[Word] = []
    at = 0
    while at < len(words):
        if at in anchors:
            found = anchors[at]
            out.append(Word(words[at].text, found.start, found.end, words[at].confidence))
            at += 1
            continue
        stop = next((i for i in range(at, len(words)) if i in anchors), len(words))
        begin = out[-1].end if out else words[0].start
        end = anchors[stop].start if stop in anchors else max(words[-1].end, begin)
        begin = min(begin, end)
        total = sum(len(w.text) + 1 for w in words[at:stop])
        seen = 0
        for word in words[at:stop]:
            left = begin + (end - begin) * seen / total
            seen += len(word.text) + 1
            right = begin + (end - begin) * seen / total
            out.append(Word(word.text, left, right, word.confidence))
        at = stop
    return tuple(out)


def plain(text: str) -> str:
    """A word as it is compared: letters and digits, without case."""
    return "".join(c for c in text.casefold() if c.isalnum())
