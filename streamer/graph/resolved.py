"""A graph file and its sub-graphs with variables filled in, to be kept and run elsewhere."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Container, Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from streamer.graph.variables import VARIABLE, typed
from streamer.graph.yaml import read_yaml

__all__ = ["resolved"]

_SECRET = re.compile(r"key|token|secret|passw|credential", re.IGNORECASE)


def resolved(
    path: Path, settings: Mapping[str, str], environment: Container[str]
) -> tuple[dict[str, str], set[str]]:
    """File names and YAML texts, ``graph.yaml`` first, and the variables left in them.

    The graph has been checked. Filled in are ``settings`` (those of ``--set``), parameters and
    defaults. Left are the names of ``environment``, and settings named like a password or a key.
    """
    files: dict[str, str] = {}
    left: set[str] = set()
    values = {k: _escaped(v) for k, v in settings.items() if not _SECRET.search(k)}
    secret = settings.keys() - values.keys()
    _Filler(files, left, lambda name: name in environment or name in secret).add(path, values, {})
    return files, left


class _Filler:
    def __init__(
        self, files: dict[str, str], left: set[str], outside: Callable[[str], bool]
    ) -> None:
        self.files, self.left, self.outside = files, left, outside

    def add(self, path: Path, values: Mapping[str, str], given: Mapping[str, str]) -> str:
        name = f"graph.{len(self.files)}.yaml" if self.files else "graph.yaml"
        self.files[name] = ""
        data = read_yaml(path.read_text("utf-8"), str(path)).data
        parameters = {k: _escaped(str(v)) for k, v in data.pop("parameters", {}).items()}
        values = {**values, **parameters, **given}
        data = self.filled(data, values)
        for node in data["nodes"].values():
            if node.get("use") == "graph":
                inner = {str(k): str(v) for k, v in node.pop("with", {}).items()}
                node["path"] = self.add(path.parent / node["path"], values, inner)
        text = io.StringIO()
        YAML(typ="safe", pure=True).dump(data, text)
        self.files[name] = text.getvalue()
        return name

    def filled(self, node: Any, values: Mapping[str, str]) -> Any:
        if isinstance(node, dict):
            return {key: self.filled(value, values) for key, value in node.items()}
        if isinstance(node, list):
            return [self.filled(value, values) for value in node]
        if not isinstance(node, str):
            return node

        def replace(match: re.Match[str]) -> str:
            name, how, default = match.groups()
            if name is None:
                return match.group(0)
            if name in values and (values[name] or how is None):
                return values[name]
            if self.outside(name) or how != ":-":
                self.left.add(name)
                return match.group(0)
            return _escaped(default)

        text = VARIABLE.sub(replace, node)
        whole = VARIABLE.fullmatch(node)
        return typed(text) if whole and whole.group(1) else text


def _escaped(text: str) -> str:
    return text.replace("${", "$${")
