"""The examples of docs/graphs.md are right."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path

import jsonschema
import pytest
from ruamel.yaml import YAML

from streamer.graph import Engine, Out, Source
from streamer.graph.build import load_graph, load_text
from streamer.graph.problems import GraphProblems
from streamer.graph.registry import Registry
from streamer.graph.schema import json_schema
from streamer.nodes import KINDS, registry
from streamer.packets import Stamp, Transcript

TEXT = (Path(__file__).parent.parent / "docs" / "graphs.md").read_text("utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", TEXT, re.DOTALL)
YAMLS = [body for language, body in BLOCKS if language == "yaml"]


@pytest.mark.parametrize("index", range(len(YAMLS)))
def test_a_yaml_example(index: int, tmp_path: Path) -> None:
    text = YAMLS[index]
    for other in YAMLS:
        if match := re.match(r"# (\S+\.yaml)\n", other):
            (tmp_path / match.group(1)).write_text(other)
    jsonschema.validate(YAML(typ="safe", pure=True).load(text), json_schema(registry()))
    path = tmp_path / "main.yaml"
    path.write_text(text)
    if "chain:" in text or text.startswith("#"):
        return
    assert load_graph(path, registry(), variables={}).edges


def test_the_refused_chain_is_refused_as_shown() -> None:
    (text,) = [body for body in YAMLS if "chain:" in body]
    (shown,) = [body for language, body in BLOCKS if language == "text"]
    with pytest.raises(GraphProblems) as caught:
        load_text(text, "chain.yaml", registry(), variables={})
    assert str(caught.value) == shown.rstrip()


class Say(Source):
    """One transcript."""

    out: Out[Transcript]

    async def run(self) -> None:
        await self.out.send(Transcript("hello", 0.0, 1.0, stable_len=5, final=True), Stamp())


def test_the_node_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (source,) = [body for language, body in BLOCKS if language == "python"]
    (tmp_path / "acme_nodes.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "acme_nodes", raising=False)
    kinds = Registry({**KINDS, "say": Say, "acme.case": "acme_nodes:Case"}, plugins=False)
    plan = load_text(
        "version: 1\nnodes:\n  say: {use: say}\n  up: {use: acme.case, in: say}\n"
        f"  out: {{use: sink.jsonl, in: up, path: {tmp_path / 'out.jsonl'}}}\n",
        "g.yaml",
        kinds,
        variables={},
    )
    asyncio.run(Engine(plan).run())
    assert '"HELLO"' in (tmp_path / "out.jsonl").read_text()
