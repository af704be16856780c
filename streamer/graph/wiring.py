"""The edges of a graph: references resolved, types and formats checked, converters put in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from pydantic import ValidationError

from streamer.graph.node import Node, NodeConfig
from streamer.graph.plan import Edge, NodePlan, QueueSpec
from streamer.graph.ports import PortSpec, accepts
from streamer.graph.problems import Problem, suggest
from streamer.graph.registry import Registry
from streamer.graph.scope import Made, Scope, SubGraph
from streamer.graph.spec import GraphFile, Inputs, Queue, Reference
from streamer.graph.yaml import Document, Path

__all__ = ["Wiring"]

LIVE_QUEUE = QueueSpec(2.0, None, "drop_oldest")
"""The default of an edge from a source that cannot be held back."""


@dataclass
class _Link:
    """An edge as written, with its place."""

    source: Made
    out: PortSpec
    target: Made
    port: PortSpec
    queue: Queue | None
    feedback: bool
    document: Document
    path: Path


class Wiring:
    """Makes the edges; what is wrong goes to ``problems``."""

    def __init__(
        self, registry: Registry, problems: list[Problem], graph: GraphFile, *, strict: bool
    ) -> None:
        self.registry = registry
        self.problems = problems
        self.graph = graph
        self.strict = strict
        self.converters: dict[str, NodePlan] = {}
        self._attempted: set[tuple[str, Path, str]] = set()
        self._converted: dict[tuple[str, str, str], tuple[str, PortSpec]] = {}

    def edges(self, scope: Scope) -> list[Edge]:
        """All edges of the scope and its sub-graphs."""
        links = list(self._links(scope))
        self._check_required(scope, links)
        self._check_single(links)
        self._check_cycles(links)
        return [edge for link in links for edge in self._connect(link)]

    # -- references --------------------------------------------------------------------------

    def _links(self, scope: Scope) -> Iterator[_Link]:
        for node in scope.nodes.values():
            if isinstance(node, SubGraph):
                yield from self._links(node.scope)
            for port, reference, path in self._references(node):
                yield from self._link(scope, node, port, reference, path)
        chain = scope.graph.chain
        for index, row in enumerate(chain):
            if isinstance(row, list):
                yield from self._chain(scope, row, ("chain", index))
        if chain and isinstance(chain[0], str):
            yield from self._chain(scope, [str(name) for name in chain], ("chain",))

    def _chain(self, scope: Scope, row: list[str], path: Path) -> Iterator[_Link]:
        for index, (left, right) in enumerate(pairwise(row)):
            name = right.partition(".")[0]
            node = scope.nodes.get(name)
            if node is not None:
                here = (*path, index)
                yield from self._link(
                    scope, node, "", Reference.model_validate({"from": left}), here
                )
            elif index + 2 == len(row):
                self._resolve(scope, right, scope.document, (*path, index + 1))

    def _link(
        self, scope: Scope, node: Made | SubGraph, port: str, reference: Reference, path: Path
    ) -> Iterator[_Link]:
        document, entry = node.document, node.entry
        self._attempted.add((scope.prefix, node.path, port))
        source = self._resolve(scope, reference.source, document, path)
        for target, spec in self._targets(node, port, path):
            if source is not None:
                queue = reference.queue or entry.queue or target.entry.queue
                queue = queue or scope.graph.defaults.queue or self.graph.defaults.queue
                yield _Link(*source, target, spec, queue, reference.feedback, document, path)

    def _references(self, node: Made | SubGraph) -> Iterator[tuple[str, Reference, Path]]:
        """(port, reference, place) of each input of a node; an empty port is the default one."""
        inputs, path = node.entry.inputs, (*node.path, "in")
        if isinstance(inputs, dict):
            for port, given in inputs.items():
                yield from _each(port, given, (*path, port))
        elif inputs is not None:
            yield from _each("", inputs, path)

    def _targets(
        self, node: Made | SubGraph, port: str, path: Path
    ) -> Iterator[tuple[Made, PortSpec]]:
        """The input ports that a written input stands for (several for a sub-graph)."""
        known = list(node.ins if isinstance(node, Made) else node.scope.graph.inputs)
        name = port or (known[0] if known else "")
        if name not in known:
            what = f"no input {name!r}" if name else "no inputs"
            self._problem(
                node.document,
                path,
                "graph.unknown-port",
                f"This node has {what}.",
                suggest(name, known) if name else "",
                key=bool(port),
            )
            return
        if isinstance(node, Made):
            yield node, node.ins[name]
            return
        inner = node.scope
        written = inner.graph.inputs[name]
        for text in written if isinstance(written, list) else [written]:
            node_name, _, inner_port = text.partition(".")
            target = inner.nodes.get(node_name)
            place: Path = ("inputs", name)
            if target is not None:
                yield from self._targets(target, inner_port, place)
            elif node_name not in inner.broken:
                self._problem(
                    inner.document,
                    place,
                    "graph.unknown-node",
                    f"There is no node {node_name!r}.",
                    suggest(node_name, inner.nodes),
                )

    def _resolve(
        self, scope: Scope, text: str, document: Document, path: Path
    ) -> tuple[Made, PortSpec] | None:
        """The output port that ``node`` or ``node.output`` means."""
        name, dot, port = text.partition(".")
        node = scope.nodes.get(name)
        if node is None:
            if name not in scope.broken:
                self._problem(
                    document,
                    path,
                    "graph.unknown-node",
                    f"There is no node {name!r}.",
                    suggest(name, scope.nodes),
                )
            return None
        known = list(node.outs if isinstance(node, Made) else node.scope.graph.outputs)
        port = known[0] if known and not dot else port
        if port not in known:
            what = f"no output {port!r}" if dot else "no outputs"
            self._problem(
                document,
                path,
                "graph.unknown-port",
                f"Node {name!r} has {what}.",
                suggest(port, known) if port else "",
            )
            return None
        if isinstance(node, Made):
            return node, node.outs[port]
        inner = node.scope
        return self._resolve(inner, inner.graph.outputs[port], inner.document, ("outputs", port))

    # -- checks ------------------------------------------------------------------------------

    def _check_required(self, scope: Scope, links: list[_Link]) -> None:
        connected = {(link.target.name, link.port.name) for link in links}
        attempted = {
            (path, port) for prefix, path, port in self._attempted if prefix == scope.prefix
        }
        for node in scope.nodes.values():
            if isinstance(node, SubGraph):
                self._check_required(node.scope, links)
                continue
            if any(path == node.path and port and port not in node.ins for path, port in attempted):
                continue
            first = next(iter(node.ins), "")
            for name, port in node.ins.items():
                tried = (node.path, name) in attempted or (
                    name == first and (node.path, "") in attempted
                )
                if not port.optional and not tried and (node.name, name) not in connected:
                    self._problem(
                        node.document,
                        node.path,
                        "graph.missing-input",
                        f"The input {name!r} ({port.type_name}) is not connected.",
                        f"Add `in: {{{name}: NODE}}`.",
                        key=True,
                    )

    def _check_single(self, links: list[_Link]) -> None:
        seen: set[tuple[str, str]] = set()
        for link in links:
            key = (link.target.name, link.port.name)
            if key in seen and not link.port.many:
                self._problem(
                    link.document,
                    link.path,
                    "graph.too-many-inputs",
                    f"The input {link.port.name!r} of {link.target.name!r} takes one source only.",
                )
            seen.add(key)

    def _check_cycles(self, links: list[_Link]) -> None:
        follow: dict[str, list[_Link]] = {}
        for link in links:
            if not link.feedback:
                follow.setdefault(link.source.name, []).append(link)
        done: set[str] = set()

        def visit(name: str, trail: list[str]) -> None:
            for link in follow.get(name, ()):
                target = link.target.name
                if target in trail:
                    loop = " -> ".join([*trail[trail.index(target) :], target])
                    self._problem(
                        link.document,
                        link.path,
                        "graph.cycle",
                        f"This closes a cycle: {loop}.",
                        "If it is meant, write `{from: NODE, feedback: true}`.",
                    )
                elif target not in done:
                    visit(target, [*trail, target])
            done.add(name)

        for name in list(follow):
            if name not in done:
                visit(name, [name])

    # -- edges -------------------------------------------------------------------------------

    def _connect(self, link: _Link) -> list[Edge]:
        if not accepts(link.port.type, link.out.type):
            self._problem(
                link.document,
                link.path,
                "graph.type-mismatch",
                f"{link.source.name}.{link.out.name} gives {link.out.type_name}, but "
                f"{link.target.name}.{link.port.name} takes {link.port.type_name}.",
            )
            return []
        queue = link.queue.spec() if link.queue else None
        if self.strict and queue is not None and queue.seconds is None and queue.items is None:
            self._problem(
                link.document,
                link.path,
                "graph.unbounded",
                "This edge is unbounded.",
                "Give it a `max`, such as 400ms.",
            )
        needs = link.target.cls.needs(link.target.config).get(link.port.name, {})
        gives = link.source.cls.gives(link.source.config).get(link.out.name, {})
        live = bool(getattr(link.source.cls, "live", False))
        if all(gives.get(key) == value for key, value in needs.items()):
            if live and queue is not None and queue.when_full == "block":
                self._problem(
                    link.document,
                    link.path,
                    "graph.live-blocked",
                    f"{link.source.name!r} is live and cannot be held back.",
                    "Use `when_full: drop_oldest`.",
                )
            default = LIVE_QUEUE if live else QueueSpec()
            return [self._edge(link, link.source.name, link.out, queue or default)]
        return self._convert(link, dict(needs), queue or QueueSpec(), live)

    def _convert(
        self, link: _Link, needs: dict[str, object], queue: QueueSpec, live: bool
    ) -> list[Edge]:
        key = (link.source.name, link.out.name, repr(sorted(needs.items())))
        edges: list[Edge] = []
        if key not in self._converted:
            made = self._converter(link.out.type, needs)
            if made is None:
                wanted = ", ".join(f"{k} {v}" for k, v in needs.items())
                self._problem(
                    link.document,
                    link.path,
                    "graph.format-mismatch",
                    f"{link.target.name}.{link.port.name} needs {wanted}, and nothing converts "
                    f"{link.out.type_name}.",
                )
                return []
            cls, config = made
            number = sum(name.startswith(f"{link.source.name}/convert") for name in self.converters)
            name = f"{link.source.name}/convert{number + 1 if number else ''}"
            where = link.source.plan().where
            self.converters[name] = NodePlan(name, cls, config, where=where)
            ins, outs = cls.ports()
            self._converted[key] = (name, next(iter(outs.values())))
            first = LIVE_QUEUE if live else QueueSpec()
            edges.append(Edge(link.source.name, link.out, name, next(iter(ins.values())), first))
        name, out = self._converted[key]
        return [*edges, self._edge(link, name, out, queue)]

    def _converter(
        self, payload: object, needs: dict[str, object]
    ) -> tuple[type[Node], NodeConfig] | None:
        found = self.registry.converter(payload)
        if found is None:
            return None
        try:
            return found[1], found[1].Config(**needs)
        except ValidationError:
            return None

    def _edge(self, link: _Link, source: str, out: PortSpec, queue: QueueSpec) -> Edge:
        return Edge(source, out, link.target.name, link.port, queue, link.feedback)

    def _problem(
        self,
        document: Document,
        path: Path,
        code: str,
        message: str,
        hint: str = "",
        *,
        key: bool = False,
    ) -> None:
        self.problems.append(document.problem(path, code, message, hint, key=key))


def _each(port: str, given: Inputs, path: Path) -> Iterator[tuple[str, Reference, Path]]:
    if isinstance(given, list):
        for index, item in enumerate(given):
            yield from _each(port, item, (*path, index))
    elif isinstance(given, str):
        yield port, Reference.model_validate({"from": given}), path
    else:
        yield port, given, (*path, "from")
