"""Writes the recorder's spans as a Chrome trace, which ui.perfetto.dev opens.

Format: https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU
(JSON array of events; times in microseconds).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from streamer.trace.recorder import AGE, BLOCKED, WAIT, Recorder, Span

__all__ = ["trace_events", "write_chrome_trace"]

_NAMES = ("wait", "work", "blocked", "age")


def trace_events(recorder: Recorder, process: str = "streamer") -> list[dict[str, Any]]:
    """The events: a row per node with its work, a row per edge with what waited on it.

    Packets wait on an edge side by side, so waits are asynchronous events ("b" and "e").
    """
    events: list[dict[str, Any]] = [
        {"ph": "M", "name": "process_name", "pid": 1, "args": {"name": process}}
    ]
    events += [
        {
            "ph": "M",
            "name": "thread_name",
            "pid": 1,
            "tid": track.index + 1,
            "args": {"name": track.name},
        }
        for track in recorder.tracks
    ]
    for number, span in enumerate(recorder.spans()):
        events += _events_of(recorder, span, number)
    return events


def _events_of(recorder: Recorder, span: Span, number: int) -> list[dict[str, Any]]:
    track = recorder.tracks[span.track].name
    event: dict[str, Any] = {
        "cat": _NAMES[span.kind],
        "pid": 1,
        "tid": span.track + 1,
        "ts": span.begin / 1000,
        "args": {"media_s": span.position / 1e6},
    }
    if span.kind == AGE:
        age_ms = (span.end - span.begin) / 1e6
        event |= {"ph": "C", "name": f"age {track} (ms)", "ts": span.end / 1000}
        event["args"] = {"age": age_ms}
        return [event]
    if span.kind in (WAIT, BLOCKED):
        event |= {"name": f"{_NAMES[span.kind]} {track}", "id": number}
        return [
            {**event, "ph": "b"},
            {**event, "ph": "e", "ts": span.end / 1000, "args": {}},
        ]
    return [{**event, "ph": "X", "name": track, "dur": (span.end - span.begin) / 1000}]


def write_chrome_trace(recorder: Recorder, path: str | Path, process: str = "streamer") -> None:
    """Write the trace to ``path`` as ``{"traceEvents": [...]}``."""
    document = {"traceEvents": trace_events(recorder, process), "displayTimeUnit": "ms"}
    Path(path).write_text(json.dumps(document), encoding="utf-8")
