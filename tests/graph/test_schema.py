"""The schema that editors use agrees with the loader."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest
from ruamel.yaml import YAML

from streamer.graph.build import load_graph
from streamer.graph.schema import json_schema
from streamer.nodes import registry

GRAPHS = sorted((Path(__file__).parents[2] / "graphs").glob("*.yaml"))


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    made = json_schema(registry())
    jsonschema.Draft202012Validator.check_schema(made)
    return made


@pytest.mark.parametrize("path", GRAPHS, ids=lambda path: path.stem)
def test_graphs_that_ship_fit_the_schema_and_load(path: Path, schema: dict[str, Any]) -> None:
    jsonschema.validate(YAML(typ="safe", pure=True).load(path.read_text("utf-8")), schema)
    load_graph(path, registry(), variables={}, strict=True)


@pytest.mark.parametrize(
    "node",
    [
        {"use": "source.file", "path": "a.wav", "pace": "fast", "chunk": "20ms"},
        {"use": "source.mic", "rate": "${RATE}", "device": 3},
        {"use": "vad.silero", "in": "x", "queue": {"max": ["1s", "3 items"]}},
        {"use": "sink.text", "in": [{"from": "x", "feedback": True}, "y.z"], "restart": "never"},
        {"use": "graph", "path": "sub.yaml", "with": {"a": 1}, "in": {"b": "x"}},
    ],
)
def test_right_nodes_fit(node: dict[str, Any], schema: dict[str, Any]) -> None:
    jsonschema.validate({"version": 1, "nodes": {"n": node}}, schema)


@pytest.mark.parametrize(
    "node",
    [
        {"use": "source.fiel", "path": "a.wav"},
        {"use": "source.file"},
        {"use": "source.file", "path": "a.wav", "paec": "fast"},
        {"use": "source.file", "path": "a.wav", "pace": "quick"},
        {"use": "source.file", "path": "a.wav", "chunk": "20mx"},
        {"use": "source.mic", "rate": "a lot"},
        {"use": "vad.silero", "in": "x", "queue": {"when_full": "drop"}},
        {"use": "graph", "with": {}},
        {"in": "x"},
    ],
)
def test_wrong_nodes_do_not_fit(node: dict[str, Any], schema: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"version": 1, "nodes": {"n": node}}, schema)


def test_settings_are_described(schema: dict[str, Any]) -> None:
    branches = schema["$defs"]["NodeEntry"]["allOf"]
    kinds = [branch["if"]["properties"]["use"]["const"] for branch in branches]
    assert kinds == [*registry().kinds(), "graph"]
    moonshine = branches[kinds.index("asr.moonshine")]["then"]["properties"]
    assert moonshine["partials"]["default"] is True and moonshine["partials"]["description"]
