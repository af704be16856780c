"""The captions page: static files beside this module, and ``/graph.json`` behind its graph view."""

from __future__ import annotations

import importlib.resources
import json
import time
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from streamer.graph.draw import describe_queue
from streamer.serve.gateway import Page
from streamer.serve.sessions import Sessions
from streamer.trace.recorder import AGE, WAIT, WORK

__all__ = ["WINDOW", "graph_state", "pages"]

WINDOW: Final = 10.0
"""Seconds that the times of ``/graph.json`` look back."""

_NEWEST: Final = 16384

_TYPES: Final = {
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "svg": "image/svg+xml",
}


def _read() -> dict[str, Page]:
    found: dict[str, Page] = {}
    for file in importlib.resources.files(__name__).iterdir():
        kind = _TYPES.get(file.name.rpartition(".")[2])
        if kind is not None:
            path = "/" if file.name == "index.html" else f"/{file.name}"
            found[path] = Page(_constant(file.read_bytes()), kind)
    return found


def _constant(body: bytes) -> Callable[[], bytes]:
    return lambda: body


_FILES: Final = _read()


def pages(sessions: Sessions) -> dict[str, Page]:
    """The page at ``/``, its parts, and ``/graph.json``, which needs a key where keys are used."""
    return _FILES | {"/graph.json": Page(_graph(sessions), "application/json", open=False)}


def graph_state(sessions: Sessions, now_ns: int) -> dict[str, Any]:
    """The graph with the waits and work of the last :data:`WINDOW` seconds, of all sessions.

    Times are ``{"p50", "p99", "count"}`` in milliseconds, or None where nothing happened.
    ``now_ns`` is the loop's clock. Of a busy server only the newest 16384 spans are looked at,
    so that this stays within 5 ms.
    """
    recorder = sessions.recorder
    newest = np.arange(max(0, recorder.written - _NEWEST), recorder.written) % recorder.capacity
    rows = recorder.rows()[newest]
    rows = rows[rows[:, 3] > now_ns - int(WINDOW * 1e9)]
    key, took = rows[:, 0] * len(recorder.tracks) + rows[:, 1], (rows[:, 3] - rows[:, 2]) / 1e6
    tracks = {track.name: track.index for track in recorder.tracks}

    def times(kind: int, *names: str) -> dict[str, float] | None:
        wanted = [kind * len(tracks) + tracks[name] for name in names if name in tracks]
        chosen = np.sort(took[np.isin(key, wanted)])
        if not len(chosen):
            return None
        p50, p99 = chosen[len(chosen) // 2], chosen[int(len(chosen) * 0.99)]
        return {"p50": round(p50, 3), "p99": round(p99, 3), "count": len(chosen)}

    def work(node: str) -> dict[str, float] | None:
        """Of its steps beside ``process``, if it has any: that is where its time goes."""
        steps = [name for name in tracks if name.startswith(f"{node}: ")]
        return times(WORK, *(steps or [node]))

    plan, admission = sessions.plan, sessions.admission
    channels = [c.stats() for s in sessions.open.values() for c in s.engine.channels]
    return {
        "name": plan.name,
        "window": WINDOW,
        "sessions": {"active": admission.active, "limit": admission.limit},
        "nodes": [
            {
                "name": name,
                "kind": node.cls.kind or node.cls.__name__,
                "work": work(name),
                "age": times(AGE, name),
            }
            for name, node in plan.nodes.items()
        ],
        "edges": [
            {
                "source": edge.source,
                "target": edge.target,
                "type": edge.out.type_name,
                "queue": describe_queue(edge.queue),
                "wait": times(WAIT, edge.name),
                "depth": sum(c.depth for c in channels if c.name == edge.name),
                "dropped": sum(c.dropped for c in channels if c.name == edge.name),
            }
            for edge in plan.edges
        ],
    }


def _graph(sessions: Sessions) -> Callable[[], bytes]:
    """Computed at most once in half a second, however many pages look."""
    body, until = b"", 0.0

    def render() -> bytes:
        nonlocal body, until
        now = time.monotonic()
        if now >= until:
            body = json.dumps(graph_state(sessions, time.monotonic_ns())).encode()
            until = now + 0.5
        return body

    return render
