"""From a graph file to a checked plan: kinds, settings, references, types, formats, cycles."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path as FilePath

from pydantic import ValidationError

from streamer.errors import GraphError, InputError
from streamer.graph.node import Node
from streamer.graph.plan import GraphPlan, RestartSpec
from streamer.graph.problems import GraphProblems, Problem, suggest
from streamer.graph.registry import Registry
from streamer.graph.scope import Made, Scope, SubGraph
from streamer.graph.spec import GraphFile, NodeEntry, Restart
from streamer.graph.validation import explain_errors
from streamer.graph.variables import substitute
from streamer.graph.wiring import Wiring
from streamer.graph.yaml import Document, read_yaml

__all__ = ["load_graph", "load_text"]

SUB_GRAPH = "graph"
"""The kind of a node that is a sub-graph."""
MAX_DEPTH = 8


def load_graph(
    path: str | os.PathLike[str],
    registry: Registry,
    *,
    settings: Mapping[str, str] | None = None,
    variables: Mapping[str, str] | None = None,
    strict: bool = False,
) -> GraphPlan:
    """Read, check and build the graph in ``path``.

    ``settings`` (those of ``--set``) fill ``${NAME}`` and must all occur; then come
    ``variables``, by default the environment. ``strict`` refuses unbounded edges. Raises
    :class:`GraphProblems` with everything that is wrong, or :class:`InputError` if the file
    cannot be read.
    """
    text = _read(FilePath(path))
    return load_text(
        text, str(path), registry, settings=settings, variables=variables, strict=strict
    )


def load_text(
    text: str,
    file: str,
    registry: Registry,
    *,
    settings: Mapping[str, str] | None = None,
    variables: Mapping[str, str] | None = None,
    strict: bool = False,
) -> GraphPlan:
    """Like :func:`load_graph` for a text; ``file`` names it in messages."""
    builder = _Builder(registry)
    settings = settings or {}
    values = {**(os.environ if variables is None else variables), **settings}
    scope, graph = builder.read(text, file, "", values, {}, 0)
    wiring = Wiring(registry, builder.problems, graph, strict=strict)
    edges = wiring.edges(scope)
    for name in settings.keys() - builder.used:
        hint = suggest(name, builder.used)
        problem = Problem(
            "graph.unknown-variable", f"The graph has no variable {name!r}.", hint, file
        )
        builder.problems.append(problem)
    if builder.problems:
        raise GraphProblems(builder.problems)
    nodes = {made.name: made.plan() for made in builder.made}
    nodes.update(wiring.converters)
    return GraphPlan(graph.name, nodes, edges, graph.stall_after)


def _read(path: FilePath) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"The graph {path} cannot be read: {error.strerror}.",
            code="graph.unreadable",
            hint="Check the path.",
        ) from error
    except UnicodeDecodeError as error:
        raise InputError(
            f"The graph {path} is not UTF-8 text.",
            code="graph.unreadable",
            hint="Save it as UTF-8.",
        ) from error
    except ValueError as error:  # a zero byte in the path
        raise InputError(
            f"{str(path)!r} is not a path: {error}.", code="graph.unreadable", hint="Check it."
        ) from error


class _Builder:
    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.problems: list[Problem] = []
        self.made: list[Made] = []
        self.used: set[str] = set()

    def read(
        self,
        text: str,
        file: str,
        prefix: str,
        values: Mapping[str, str],
        given: Mapping[str, str],
        depth: int,
    ) -> tuple[Scope, GraphFile]:
        """The nodes of a file. Problems that make going on pointless are raised.

        ``given`` are a sub-graph's parameters; they come before its defaults and ``values``.
        """
        document = read_yaml(text, file)
        if not isinstance(document.data, dict):
            raise GraphProblems(
                [document.problem((), "graph.empty", "A graph is a mapping with `nodes`.")]
            )
        parameters = document.data.get("parameters")
        if isinstance(parameters, dict):
            values = {**values, **{str(k): str(v) for k, v in parameters.items()}, **given}
        self.problems += substitute(document, values, self.used)
        try:
            graph = GraphFile.model_validate(document.data)
        except ValidationError as error:
            found = explain_errors(error, document, (), GraphFile)
            raise GraphProblems(self.problems + found) from None
        if not graph.nodes:
            self.problems.append(document.problem(("nodes",), "graph.empty", "There is no node."))
        scope = Scope(prefix, document, graph)
        for name, entry in graph.nodes.items():
            self._add(scope, name, entry, values, depth)
        return scope, graph

    def _add(
        self, scope: Scope, name: str, entry: NodeEntry, values: Mapping[str, str], depth: int
    ) -> None:
        document, path = scope.document, ("nodes", name)
        if not name.replace("-", "_").isidentifier():
            self.problems.append(
                document.problem(
                    path,
                    "graph.bad-name",
                    f"{name!r} cannot name a node.",
                    "Use letters, digits, - and _.",
                    key=True,
                )
            )
            return
        if entry.use == SUB_GRAPH:
            self._add_sub_graph(scope, name, entry, values, depth)
            return
        cls = self._kind(document, path, entry.use)
        if cls is None:
            scope.broken.add(name)
            return
        try:
            config = cls.Config.model_validate(entry.model_extra or {})
        except ValidationError as error:
            self.problems += explain_errors(error, document, path, cls.Config, NodeEntry)
            scope.broken.add(name)
            return
        made = Made(scope.prefix + name, cls, config, _restart(entry), entry, document, path)
        scope.nodes[name] = made
        self.made.append(made)

    def _kind(self, document: Document, path: tuple[str, str], use: str) -> type[Node] | None:
        where = (*path, "use")
        try:
            return self.registry.get(use)
        except KeyError:
            hint = suggest(use, [*self.registry.kinds(), SUB_GRAPH])
            self.problems.append(
                document.problem(
                    where, "graph.unknown-kind", f"There is no node kind {use!r}.", hint
                )
            )
        except GraphError as error:
            self.problems.append(document.problem(where, error.code, error.message, error.hint))
        return None

    def _add_sub_graph(
        self, scope: Scope, name: str, entry: NodeEntry, values: Mapping[str, str], depth: int
    ) -> None:
        document, path = scope.document, ("nodes", name)
        extra = dict(entry.model_extra or {})
        file, given = extra.pop("path", None), extra.pop("with", {})
        unknown = [*extra, *({"restart"} & entry.model_fields_set)]
        for key in unknown:
            self.problems.append(
                document.problem(
                    (*path, key),
                    "graph.unknown-key",
                    f"A sub-graph has no setting {key!r}.",
                    suggest(key, ["path", "with", "in", "queue"]),
                    key=True,
                )
            )
        if not isinstance(file, str) or not isinstance(given, dict):
            message = "A sub-graph needs `path: FILE` and may have `with: {NAME: VALUE}`."
            self.problems.append(document.problem(path, "graph.bad-value", message, key=True))
            scope.broken.add(name)
            return
        if depth >= MAX_DEPTH:
            message = "Sub-graphs are nested too deep; does one contain itself?"
            raise GraphProblems([document.problem((*path, "path"), "graph.cycle", message)])
        target = FilePath(document.file).parent / file
        parameters = {str(k): str(v) for k, v in given.items()}
        try:
            text = _read(target)
            inner, graph = self.read(
                text, str(target), f"{scope.prefix}{name}/", values, parameters, depth + 1
            )
        except InputError as error:
            self.problems.append(
                document.problem((*path, "path"), error.code, error.message, error.hint)
            )
            scope.broken.add(name)
            return
        for key in given:
            if str(key) not in graph.parameters:
                self.problems.append(
                    document.problem(
                        (*path, "with", key),
                        "graph.unknown-key",
                        f"{file} has no parameter {key!r}.",
                        suggest(str(key), graph.parameters),
                        key=True,
                    )
                )
        scope.nodes[name] = SubGraph(inner, entry, document, path)


def _restart(entry: NodeEntry) -> RestartSpec:
    if isinstance(entry.restart, Restart):
        return entry.restart.spec()
    return RestartSpec(entry.restart)
