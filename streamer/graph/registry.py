"""Node kinds by name: our own, and those of installed plug-ins."""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Mapping

from streamer.errors import GraphError
from streamer.graph.node import Node

__all__ = ["ENTRY_POINTS", "Registry"]

ENTRY_POINTS = "streamer.nodes"
"""The entry-point group: name = kind, value = ``module:Class``."""


class Registry:
    """Finds node classes; nothing is imported before it is asked for.

    ``builtin`` maps kinds to ``module:Class`` or to classes. Plug-ins cannot replace them.
    """

    def __init__(self, builtin: Mapping[str, str | type[Node]], *, plugins: bool = True) -> None:
        self._targets: dict[str, str | type[Node]] = {}
        if plugins:
            for point in importlib.metadata.entry_points(group=ENTRY_POINTS):
                self._targets[point.name] = point.value
        self._targets.update(builtin)

    def kinds(self) -> list[str]:
        """All names, sorted."""
        return sorted(self._targets)

    def get(self, kind: str) -> type[Node]:
        """The class. Raises KeyError for an unknown kind, GraphError for a broken plug-in."""
        target = self._targets[kind]
        if isinstance(target, str):
            module, _, name = target.partition(":")
            try:
                target = getattr(importlib.import_module(module), name)
                if not (isinstance(target, type) and issubclass(target, Node)):
                    raise TypeError("it is not a Node class")
                target.ports()
            except Exception as error:  # a plug-in may fail in any way
                raise GraphError(
                    f"The node kind {kind!r} cannot be loaded from {module}: {error}.",
                    code="graph.broken-plugin",
                    hint="Install what it needs, or remove the plug-in.",
                ) from error
            self._targets[kind] = target
        return target

    def converter(self, payload: object) -> tuple[str, type[Node]] | None:
        """The kind that changes the format of ``payload``, if there is one."""
        for kind in self.kinds():
            if kind.startswith("convert."):
                try:
                    cls = self.get(kind)
                except GraphError:
                    continue
                if cls.converts is payload:
                    return kind, cls
        return None
