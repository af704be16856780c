"""Names within one graph file: what a reference such as ``asr.final`` means there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from streamer.graph.node import Node
from streamer.graph.plan import NodePlan, RestartSpec
from streamer.graph.ports import PortSpec
from streamer.graph.spec import GraphFile, NodeEntry
from streamer.graph.yaml import Document, Path

__all__ = ["Made", "Scope", "SubGraph"]


@dataclass
class Made:
    """A node whose kind and settings are right."""

    name: str
    cls: type[Node]
    config: Any
    restart: RestartSpec
    entry: NodeEntry
    document: Document
    path: Path

    def plan(self) -> NodePlan:
        line = self.document.keys.get(self.path, (0, 0))[0] + 1
        return NodePlan(
            self.name, self.cls, self.config, self.restart, f"{self.document.file}:{line}"
        )

    @property
    def ins(self) -> dict[str, PortSpec]:
        return self.cls.ports()[0]

    @property
    def outs(self) -> dict[str, PortSpec]:
        return self.cls.ports()[1]


@dataclass
class SubGraph:
    """A node that stands for the nodes of another file."""

    scope: Scope
    entry: NodeEntry
    document: Document
    path: Path


@dataclass
class Scope:
    """The nodes of one file. ``broken`` names those already reported."""

    prefix: str
    document: Document
    graph: GraphFile
    nodes: dict[str, Made | SubGraph] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
