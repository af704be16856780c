"""``${VAR}``, ``${VAR:-default}`` and ``${VAR:?message}`` in the values of a graph file."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from streamer.graph.problems import Problem, suggest
from streamer.graph.yaml import Document, Path

__all__ = ["VARIABLE", "substitute", "typed"]

VARIABLE = re.compile(r"\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)(?:(:-|:\?)([^}]*))?\}")


def substitute(document: Document, values: Mapping[str, str], used: set[str]) -> list[Problem]:
    """Replace variables in ``document.data``; ``$${`` stands for a literal ``${``.

    A value that is nothing but a variable is a number if it looks like one, so
    ``${RATE:-16000}`` fits where a number is wanted, and where a text is.
    Adds the names that occur to ``used``.
    """
    problems: list[Problem] = []
    document.data = _walk(document.data, (), document, values, problems, used)
    return problems


def _walk(
    node: Any,
    path: Path,
    document: Document,
    values: Mapping[str, str],
    problems: list[Problem],
    used: set[str],
) -> Any:
    rest = (document, values, problems, used)
    if isinstance(node, dict):
        return {k: _walk(v, (*path, k), *rest) for k, v in node.items()}
    if isinstance(node, list):
        return [_walk(v, (*path, i), *rest) for i, v in enumerate(node)]
    if not isinstance(node, str) or "${" not in node:
        return node

    def replace(match: re.Match[str]) -> str:
        name, how, rest = match.groups()
        if name is None:
            return "${"
        used.add(name)
        if name in values and (values[name] or how is None):
            return values[name]
        if how == ":-":
            return str(rest)
        reason = rest if how == ":?" and rest else f"The variable {name} is not set."
        hint = suggest(name, values) if how is None else ""
        hint = hint if hint.startswith("Did") else f"Set it with --set {name}=... or export it."
        problems.append(document.problem(path, "graph.unknown-variable", reason, hint))
        return ""

    whole = VARIABLE.fullmatch(node)
    text = VARIABLE.sub(replace, node)
    return typed(text) if whole and whole.group(1) else text


def typed(text: str) -> str | int | float:
    """A number where that loses nothing; the settings' own types do the rest."""
    for kind in (int, float):
        try:
            value = kind(text)
        except ValueError:
            continue
        if str(value) == text and math.isfinite(value):
            return value
    return text
