"""Reads YAML 1.2 and remembers where everything stood."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import MarkedYAMLError

from streamer.graph.problems import GraphProblems, Problem

__all__ = ["Document", "Path", "read_yaml"]

Path = tuple[Hashable, ...]
MAX_DEPTH = 30
MAX_VALUES = 100_000


@dataclass
class Document:
    """Plain data and, for each path in it, the line and column (from 0) of its key or value."""

    data: Any
    file: str
    lines: list[str]
    keys: dict[Path, tuple[int, int]] = field(default_factory=dict)
    values: dict[Path, tuple[int, int]] = field(default_factory=dict)

    def problem(
        self, path: Path, code: str, message: str, hint: str = "", *, key: bool = False
    ) -> Problem:
        """A problem at ``path``, or at the nearest enclosing place that is known."""
        places = (self.keys, self.values) if key else (self.values, self.keys)
        while True:
            for known in places:
                if path in known:
                    line, column = known[path]
                    text = self.lines[line] if line < len(self.lines) else ""
                    return Problem(code, message, hint, self.file, line + 1, column + 1, text)
            if not path:
                return Problem(code, message, hint, self.file)
            path = path[:-1]


def read_yaml(text: str, file: str) -> Document:
    """Parse ``text``. Raises :class:`GraphProblems` with the place of the first syntax error."""
    lines = text.splitlines()
    try:
        data = YAML(typ="rt", pure=True).load(text)
    except DuplicateKeyError as error:
        mark = error.problem_mark
        first = (error.problem or "").splitlines()[0] if error.problem else "a key stands twice"
        code = "yaml.duplicate-key"
        raise GraphProblems(
            [_at(mark, lines, file, code, f"A name stands twice: {first}.", "Rename one of them.")]
        ) from None
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = (error.problem or error.context or "it cannot be read").splitlines()[0]
        line = lines[mark.line] if mark is not None and mark.line < len(lines) else ""
        if "\t" in line[: len(line) - len(line.lstrip())] or "'\\t'" in what:
            problem = _at(
                mark, lines, file, "yaml.tab", "A tab stands in the indentation.", "Use spaces."
            )
        else:
            hint = 'Between braces a variable needs quotes: "${NAME}".' if "${" in line else ""
            problem = _at(mark, lines, file, "yaml.syntax", f"This is not YAML: {what}.", hint)
        raise GraphProblems([problem]) from None
    except Exception as error:  # the parser lets ValueError, IndexError and others through
        message = f"This is not YAML: {str(error).splitlines()[0] if str(error) else error!r}."
        raise GraphProblems([Problem("yaml.syntax", message, file=file)]) from None
    document = Document(None, file, lines)
    document.data = _Plain(document).of(data, (), 0)
    return document


def _at(mark: Any, lines: list[str], file: str, code: str, message: str, hint: str) -> Problem:
    if mark is None:
        return Problem(code, message, hint, file)
    text = lines[mark.line] if mark.line < len(lines) else ""
    return Problem(code, message, hint, file, mark.line + 1, mark.column + 1, text)


class _Plain:
    """Copies ruamel's objects to plain ones and notes their places; anchors are written out."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.count = 0

    def of(self, node: Any, path: Path, depth: int) -> Any:
        self.count += 1
        if depth > MAX_DEPTH or self.count > MAX_VALUES:
            what = "nests too deep" if depth > MAX_DEPTH else "holds too many values"
            raise GraphProblems([self.document.problem(path, "yaml.syntax", f"This {what}.")])
        places = getattr(getattr(node, "lc", None), "data", None) or {}
        if isinstance(node, CommentedMap):
            plain: dict[Any, Any] = {}
            for key in list(node):
                here = (*path, key)
                if key in places:
                    key_line, key_column, line, column = places[key]
                    self.document.keys[here] = (key_line, key_column)
                    self.document.values[here] = (line, column)
                plain[key] = self.of(node[key], here, depth + 1)
            return plain
        if isinstance(node, CommentedSeq):
            items = []
            for index, item in enumerate(node):
                here = (*path, index)
                if index in places:
                    self.document.values[here] = (places[index][0], places[index][1])
                items.append(self.of(item, here, depth + 1))
            return items
        for kind in (bool, int, float, str):
            if isinstance(node, kind):
                return bool(node) if kind is bool else kind(node)
        return node
