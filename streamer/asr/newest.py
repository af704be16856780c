"""The words of a quick reading that a slower one of the same speech has not come to yet."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher

from streamer.asr.timing import plain
from streamer.packets import Word

__all__ = ["newest_words"]

NEAR = 4
"""The readings must meet within so many words of the slower one's end to be joined there."""
REACH = 12
"""Words of the slower reading that are looked at: its end alone matters."""
BACK = 5.0
"""Seconds before that end in which the quick one's words are looked at."""
LATE = 0.2
"""Seconds by which a transducer's word may lie too late; it speaks when it is sure."""


def newest_words(slow: Sequence[Word], quick: Sequence[Word], upto: float) -> tuple[Word, ...]:
    """What of ``quick`` follows ``slow``, which has heard up to ``upto`` (media seconds).

    Where both say the same near the end of ``slow``, counting goes on from there: as many words as
    ``slow`` has after it are passed over in ``quick``. Else the times decide, which are less sure.
    """
    if not slow:
        return tuple(quick)
    tail = [plain(word.text) for word in slow[-REACH:]]
    recent = [word for word in quick if word.end > upto - BACK]
    blocks = SequenceMatcher(
        None, tail, [plain(word.text) for word in recent], autojunk=False
    ).get_matching_blocks()
    met = next((block for block in reversed(blocks) if block.size), None)
    if met is not None and len(tail) - (met.a + met.size) < NEAR:
        return tuple(recent[met.b + met.size + len(tail) - (met.a + met.size) :])
    return tuple(word for word in recent if word.start > upto + LATE)
