"""``--record DIR``: what a recording says of its run."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path

import typer

from streamer import __version__, hub
from streamer.errors import OutputError
from streamer.graph import GraphPlan
from streamer.graph.recording import Recording
from streamer.graph.resolved import resolved

__all__ = ["recording_of"]


def recording_of(
    folder: Path,
    graph: Path,
    plan: GraphPlan,
    settings: Mapping[str, str],
    edges: Sequence[str],
    limit: int,
) -> Recording:
    """A recording of ``plan``, made from ``graph``, that begins now."""
    texts, left = resolved(graph, settings, os.environ)
    used = {
        value
        for node in plan.nodes.values()
        for _, value in (node.config or ())
        if isinstance(value, str)
    }
    about = {
        "graph": plan.name,
        "environment": sorted(left),
        "versions": {
            "streamer": __version__,
            "python": platform.python_version(),
            "platform": platform.platform(),
            **{name: importlib.metadata.version(name) for name in ("onnxruntime", "numpy")},
        },
        "models": {
            name: {key: file.sha256 for key, file in manifest.files.items()}
            for name, manifest in hub.manifests().items()
            if name in used
        },
    }
    return Recording(folder, plan, texts, about, edges=edges, limit=limit, on_stop=_warn)


def _warn(error: OutputError) -> None:
    typer.secho(str(error), fg="yellow", err=True)
