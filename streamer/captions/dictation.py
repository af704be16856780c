"""Spoken punctuation and editing commands in what was recognised."""

from __future__ import annotations

import re
from collections.abc import Iterator

__all__ = ["COMMANDS", "Dictation"]

COMMANDS = {
    "full stop": ".",
    "comma": ",",
    "question mark": "?",
    "exclamation mark": "!",
    "colon": ":",
    "semicolon": ";",
    "new line": "\n",
    "new paragraph": "\n\n",
    "scratch that": "",
}
"""What is said, and what it stands for; `literal` before a command writes it in words."""

_EDGES = re.compile(r"^\W+|\W+$")
_MARKS = ".,?!:;"
_LONGEST = max(len(words.split()) for words in COMMANDS)


class Dictation:
    """The text so far, one utterance after the other.

    Punctuation that the recogniser guessed next to a command gives way to the command.
    ``scratch that`` takes back what was said before it in the same utterance, or else the last
    utterance of the line that is not finished.
    """

    def __init__(self) -> None:
        self._said: list[str] = []
        """Utterances of the unfinished line."""

    @property
    def line(self) -> str:
        """The line that is not finished."""
        return _capital(_joined(self._said))

    def preview(self, text: str) -> str:
        """The unfinished line if ``text``, which may still change, were its next utterance."""
        other = Dictation()
        other._said = list(self._said)
        lines = other.add(text)
        return other.line or (lines[-1].rstrip("\n") if lines else "")

    def add(self, text: str) -> list[str]:
        """Take an utterance in; returns the lines it finished.

        A line ends with a line break more where a paragraph ended.
        """
        lines: list[str] = []
        said, ended = "", False
        for piece, command in _pieces(text):
            if not command:
                said = _joined([said, _capital(piece) if ended else piece])
            elif piece in _MARKS and piece:
                if said or self._said:
                    said = said.rstrip(_MARKS) + piece if said else piece
            elif piece:
                self._keep(said)
                lines.append(self.line + piece[1:])
                self._said, said = [], ""
            elif said:
                said = ""
            elif self._said:
                self._said.pop()
            ended = command and piece in (".", "?", "!")
        self._keep(said)
        return lines

    def _keep(self, said: str) -> None:
        if said in _MARKS and said and self._said:
            self._said[-1] = self._said[-1].rstrip(_MARKS)
        if said:
            self._said.append(said)


def _pieces(text: str) -> Iterator[tuple[str, bool]]:
    """(words, False), and (what a command stands for, True)."""
    tokens = text.split()
    plain = [_EDGES.sub("", token).lower() for token in tokens]
    at = 0
    while at < len(tokens):
        literal = plain[at] == "literal"
        spoken = _command(plain, at + literal)
        if not spoken:
            yield tokens[at], False
            at += 1
            continue
        end = at + literal + len(spoken.split())
        if literal:
            yield " ".join(tokens[at + 1 : end]), False
        else:
            yield COMMANDS[spoken], True
        at = end


def _command(plain: list[str], at: int) -> str:
    for count in range(_LONGEST, 0, -1):
        words = " ".join(plain[at : at + count])
        if words in COMMANDS:
            return words
    return ""


def _joined(said: list[str]) -> str:
    """Joined by spaces, none before a mark."""
    text = ""
    for part in filter(None, said):
        text += part if not text or part[0] in _MARKS else f" {part}"
    return text


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
