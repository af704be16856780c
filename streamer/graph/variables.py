"""``${VAR}``, ``${VAR:-default}`` and ``${VAR:?message}`` in the values of a graph file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from streamer.graph.problems import Problem, suggest
from streamer.graph.yaml import Document, Path

__all__ = ["substitute"]

_VARIABLE = re.compile(r"\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)(?:(:-|:\?)([^}]*))?\}")


def substitute(document: Document, values: Mapping[str, str], used: set[str]) -> list[Problem]:
    """Replace variables in ``document.data``; ``$${`` stands for a literal ``${``.

    A value that is nothing but a variable takes the type that the text has in YAML, so
    ``${RATE:-16000}`` is a number. Adds the names that occur to ``used``.
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

    whole = _VARIABLE.fullmatch(node)
    text = _VARIABLE.sub(replace, node)
    return _typed(text) if whole and whole.group(1) else text


def _typed(text: str) -> Any:
    """What a plain YAML scalar of that text would be."""
    try:
        value = YAML(typ="safe", pure=True).load(text)
    except (YAMLError, ValueError):
        return text
    return value if isinstance(value, bool | int | float) else text
