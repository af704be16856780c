"""JSON Schema of graph files for editors, from the same models that check them.

For the yaml-language-server put ``# yaml-language-server: $schema=FILE`` on the first line.
"""

from __future__ import annotations

from typing import Any

from streamer.errors import GraphError
from streamer.graph.build import SUB_GRAPH
from streamer.graph.node import Node
from streamer.graph.registry import Registry
from streamer.graph.spec import GraphFile

__all__ = ["json_schema"]

_VARIABLE = {"type": "string", "pattern": r"\$\{"}


def json_schema(registry: Registry) -> dict[str, Any]:
    """The schema with the settings of every kind that can be loaded (JSON Schema 2020-12)."""
    schema = GraphFile.model_json_schema(by_alias=True, ref_template="#/$defs/{model}")
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "streamer graph"
    definitions = schema["$defs"]
    entry = definitions["NodeEntry"]
    common = dict.fromkeys(entry["properties"], True)
    kinds: dict[str, str] = {}
    branches = []
    for kind in registry.kinds():
        try:
            cls = registry.get(kind)
        except GraphError:
            continue
        kinds[kind] = _summary(cls)
        settings = cls.Config.model_json_schema(ref_template=f"#/$defs/{kind}.{{model}}")
        for name, definition in settings.pop("$defs", {}).items():
            definitions[f"{kind}.{name}"] = definition
        branches.append(_when(kind, common | settings.get("properties", {}),
                              settings.get("required", [])))  # fmt: skip
    kinds[SUB_GRAPH] = "The nodes of another graph file."
    sub_graph = {
        "path": {"type": "string", "description": "the file, relative to this one"},
        "with": {"type": "object", "description": "values of its parameters"},
    }
    branches.append(_when(SUB_GRAPH, common | sub_graph, ["path"]))
    entry["properties"]["use"] = {
        "description": entry["properties"]["use"]["description"],
        "anyOf": [{"const": kind, "description": text} for kind, text in kinds.items()],
    }
    entry["allOf"] = branches
    _allow_variables(schema)
    return schema


def _when(kind: str, properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    then: dict[str, Any] = {"properties": properties, "additionalProperties": False}
    if required:
        then["required"] = required
    return {"if": {"properties": {"use": {"const": kind}}, "required": ["use"]}, "then": then}


def _summary(cls: type[Node]) -> str:
    return (cls.__doc__ or "").strip().splitlines()[0] if cls.__doc__ else ""


def _allow_variables(schema: Any) -> None:
    """Let ``${NAME}`` stand for any value that is not a mapping."""
    if isinstance(schema, list):
        for item in schema:
            _allow_variables(item)
        return
    if not isinstance(schema, dict):
        return
    for name, value in schema.items():
        _allow_variables(value)
        if name != "properties" or "if" in schema:
            continue
        for key, given in value.items():
            if isinstance(given, dict) and key != "use" and given.get("type") != "object":
                about = {k: given[k] for k in ("description", "default", "title") if k in given}
                shape = {k: v for k, v in given.items() if k not in about}
                value[key] = about | {"anyOf": [shape, _VARIABLE]}
