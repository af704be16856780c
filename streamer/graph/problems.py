"""Everything that is wrong with a graph file, all at once, each with its place and a suggestion."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.text import Text

from streamer.errors import GraphError

__all__ = ["GraphProblems", "Problem", "suggest"]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong; ``line`` and ``column`` count from 1, 0 means unknown."""

    code: str
    message: str
    hint: str = ""
    file: str = ""
    line: int = 0
    column: int = 0
    text: str = ""
    """The offending line."""

    def render(self) -> str:
        """``file:line:column: message`` with the line and a caret under the place."""
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part)
        rows = [f"{place}: {self.message} [{self.code}]"]
        if self.text:
            rows += [f"    {self.text}", "    " + " " * (self.column - 1) + "^"]
        if self.hint:
            rows.append(f"  {self.hint}")
        return "\n".join(rows)


class GraphProblems(GraphError):
    """A graph that cannot run, with every problem found."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = sorted(problems, key=lambda p: (p.file, p.line, p.column))
        first = self.problems[0]
        count = len(problems)
        message = "\n".join(problem.render() for problem in self.problems)
        if count > 1:
            message += f"\n{count} problems."
        super().__init__(message, code=first.code)

    def __str__(self) -> str:
        return self.message

    def rich(self) -> Text:
        """The same in colour."""
        text = Text(self.message)
        text.highlight_regex(r"(?m)^\S.*?: (?P<bold>.*) (?=\[)", style_prefix="")
        text.highlight_regex(r"(?m)\[[a-z.-]+\]$", "dim")
        text.highlight_regex(r"(?m)^ +\^$", "bold red")
        return text


def suggest(word: str, known: Iterable[str]) -> str:
    """``Did you mean 'x'?``, or the known words if there are few, or nothing."""
    words = sorted(known)
    near = difflib.get_close_matches(word, words, n=1, cutoff=0.6)
    if near:
        return f"Did you mean {near[0]!r}?"
    return f"Known: {', '.join(words)}." if 0 < len(words) <= 12 else ""
