"""Turns pydantic's errors into problems with a place in the file and a suggestion."""

from __future__ import annotations

from pydantic import BaseModel, ValidationError

from streamer.graph.problems import Problem, suggest
from streamer.graph.yaml import Document, Path

__all__ = ["explain_errors"]


def explain_errors(
    error: ValidationError, document: Document, base: Path, *models: type[BaseModel]
) -> list[Problem]:
    """One problem for each wrong place below ``base``.

    Where a value may have several shapes pydantic reports each; the deepest place is the one that
    the writer meant. ``models`` give the keys that are allowed directly below ``base``.
    """
    found: dict[Path, Problem] = {}
    for detail in error.errors():
        path = _path(document, base, detail["loc"])
        kind = detail["type"]
        if kind == "extra_forbidden":
            key = str(path[-1])
            known = _keys(models) if len(path) == len(base) + 1 else []
            problem = document.problem(
                path,
                "graph.unknown-key",
                f"There is no setting {key!r} here.",
                suggest(key, known),
                key=True,
            )
        elif kind == "missing":
            problem = document.problem(
                path, "graph.missing-key", f"{detail['loc'][-1]!r} is missing.", key=True
            )
        else:
            message = detail["msg"].removeprefix("Value error, ")
            name = f"{path[-1]}: " if path else ""
            problem = document.problem(path, "graph.bad-value", f"{name}{message}.")
        found.setdefault(path, problem)
    return [
        problem
        for path, problem in found.items()
        if not any(len(other) > len(path) and other[: len(path)] == path for other in found)
        or problem.code == "graph.missing-key"
    ]


def _path(document: Document, base: Path, loc: tuple[int | str, ...]) -> Path:
    """The part of pydantic's location that exists in the file (it adds names of union members)."""
    node = document.data
    for part in base:
        node = node[part]
    path = base
    for part in loc:
        inside = (isinstance(node, dict) and part in node) or (
            isinstance(node, list) and isinstance(part, int) and part < len(node)
        )
        if inside:
            path, node = (*path, part), node[part]
    return path


def _keys(models: tuple[type[BaseModel], ...]) -> list[str]:
    return [field.alias or name for model in models for name, field in model.model_fields.items()]
