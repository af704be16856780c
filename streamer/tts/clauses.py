"""Cuts text into clauses while it is still being written.

A clause can be spoken before the next one exists. Sentences end a clause; a comma does when
enough words stand before it, so that speech starts early and does not stutter. Where a cut falls
depends on the text alone, never on the pieces it arrives in, and all clauses joined are the text.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["ClauseCutter"]

ABBREVIATIONS: Final = frozenset(
    "mr mrs ms dr prof st sr jr vs etc no vol fig inc ltd co corp dept approx est e.g i.e a.m p.m "
    "u.s u.k jan feb mar apr jun jul aug sep sept oct nov dec mon tue wed thu fri sat sun gen col "
    "lt sgt capt rev hon ave blvd rd cf al ed eds pp ca".split()
)
"""Words whose full stop does not end a sentence."""
FIRST_WORDS: Final = 3
"""Words that a comma needs before it in the first clause of an answer ..."""
LATER_WORDS: Final = 6
"""... and in the others."""
LONGEST: Final = 240
"""Characters after which a clause is cut at a space even without punctuation."""

_BOUNDARY = re.compile(r"""[.!?…;:,—]{1,6}["'”’)\]]{0,4}(?=\s{1,20}\S)|\n\s{0,20}(?=\S)""")
_WORD = re.compile(r"[^\W_]+(?:['’.][^\W_]+)*")


class ClauseCutter:
    """Takes pieces of text, gives clauses; one object an answer."""

    def __init__(self) -> None:
        self._text = ""
        self._searched = 0
        self._first = True

    def push(self, text: str) -> list[str]:
        """Add ``text``; the clauses that are complete now, spaces included."""
        self._text += text
        clauses = []
        while (end := self._cut()) is not None:
            clauses.append(self._text[:end])
            self._text, self._searched, self._first = self._text[end:], 0, False
        return clauses

    def flush(self) -> list[str]:
        """The text has ended: the rest, if any."""
        rest, self._text, self._searched, self._first = self._text, "", 0, True
        return [rest] if rest else []

    def _cut(self) -> int | None:
        """Where the first clause ends, if that is certain."""
        for found in _BOUNDARY.finditer(self._text, self._searched):
            if found.start() > LONGEST:
                break
            if self._ends_clause(found):
                return found.end()
            self._searched = found.end()
        if len(self._text) > LONGEST + 40:
            space = self._text.rfind(" ", LONGEST // 2, LONGEST)
            return LONGEST if space < 0 else space + 1
        return None

    def _ends_clause(self, found: re.Match[str]) -> bool:
        mark = found.group()
        before = self._text[: found.start()]
        if "\n" in mark:
            return bool(before.strip())
        words = _WORD.findall(before)
        if not words:  # a list's "1." or a lone dash
            return False
        if mark[0] == ".":
            last = before.split()[-1].lstrip("\"'“‘([").lower() if before.split() else ""
            after = self._text[found.end() :].lstrip()
            listed = last.isdigit() and len(words) == 1
            initial = len(last) == 1 and last.isalpha() and last != "i"
            return not (last in ABBREVIATIONS or initial or listed or after[:1].islower())
        if mark[0] in ",—:":
            return len(words) >= (FIRST_WORDS if self._first else LATER_WORDS)
        return True
