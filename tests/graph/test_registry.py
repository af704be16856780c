"""Plug-ins by entry point, from a package that is really on the path."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from streamer.errors import GraphError
from streamer.graph import Engine
from streamer.graph.build import load_text
from streamer.graph.problems import GraphProblems
from streamer.graph.registry import Registry
from streamer.graph.virtual import run

from .nodes import Count

MODULE = """
from streamer.graph import Node, In
import tests.graph.nodes as nodes

class Shout(Node):
    \"\"\"Counts.\"\"\"
    kind = "acme.shout"
    inp: In[nodes.Item]
    seen = 0
    async def process(self, item):
        Shout.seen += 1
"""
ENTRIES = """[streamer.nodes]
acme.shout = acme_nodes:Shout
acme.raises = acme_broken:Thing
acme.absent = acme_nodes:Absent
acme.number = acme_nodes:nodes
source.count = acme_nodes:Shout
"""


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "acme_nodes-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-nodes\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRIES)
    (tmp_path / "acme_nodes.py").write_text(MODULE)
    (tmp_path / "acme_broken.py").write_text("raise RuntimeError('no licence')\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.syspath_prepend(Path(__file__).parents[2])
    monkeypatch.delitem(sys.modules, "acme_nodes", raising=False)


@pytest.mark.usefixtures("plugin")
def test_an_installed_plugin_is_found_and_runs() -> None:
    kinds = Registry({"source.count": Count})
    assert "acme.shout" in kinds.kinds()
    assert "acme_nodes" not in sys.modules
    assert kinds.get("source.count") is Count
    shout = kinds.get("acme.shout")
    assert shout.ports()[0]["inp"].type_name == "Item"


@pytest.mark.usefixtures("plugin")
@pytest.mark.parametrize(
    ("kind", "part"), [("raises", "no licence"), ("absent", "Absent"), ("number", "not a Node")]
)
def test_a_broken_plugin_is_named_and_harms_no_other(kind: str, part: str) -> None:
    kinds = Registry({"source.count": Count})
    with pytest.raises(GraphError, match=part) as caught:
        kinds.get(f"acme.{kind}")
    assert caught.value.code == "graph.broken-plugin" and f"acme.{kind}" in caught.value.message
    assert issubclass(kinds.get("acme.shout"), object)
    with pytest.raises(GraphProblems) as wrong:
        load_text(
            f"version: 1\nnodes:\n  a: {{use: acme.{kind}}}\n  b: {{use: nope}}\n",
            "g.yaml",
            kinds,
            variables={},
        )
    assert [p.code for p in wrong.value.problems] == ["graph.broken-plugin", "graph.unknown-kind"]


@pytest.mark.usefixtures("plugin")
def test_a_plugin_works_in_a_graph() -> None:
    kinds = Registry({})
    shout = kinds.get("acme.shout")
    # The plug-in sees the helpers under another module name, so it is fed by its own copy.
    module = sys.modules[shout.__module__]
    count = module.nodes.Count
    plan = load_text(
        "version: 1\nnodes:\n  a: {use: count}\n  b: {use: acme.shout, in: a}\n",
        "g.yaml",
        Registry({"count": count}),
        variables={},
    )
    run(Engine(plan).run())
    assert vars(shout)["seen"] == count.total
