"""The numbers at the end of a run: where packets waited, where work was done, how old they got."""

from __future__ import annotations

from dataclasses import dataclass

from streamer.trace.recorder import AGE, BLOCKED, WAIT, WORK, Recorder

__all__ = ["Row", "summarise"]

_KINDS = ((WAIT, "wait"), (BLOCKED, "blocked"), (WORK, "work"), (AGE, "age"))


@dataclass(frozen=True, slots=True)
class Row:
    """One line: ``kind`` is wait, blocked, work or age; times in milliseconds."""

    name: str
    kind: str
    count: int
    p50: float
    p90: float
    p99: float
    highest: float
    total_s: float


def summarise(recorder: Recorder) -> list[Row]:
    """Every edge and node that saw packets, in the order of the graph."""
    rows = []
    for track in recorder.tracks:
        for kind, name in _KINDS:
            histogram = track.histograms[kind]
            if histogram.count:
                p50, p90, p99 = (histogram.percentile(p) / 1e6 for p in (50, 90, 99))
                rows.append(
                    Row(
                        track.name,
                        name,
                        histogram.count,
                        p50,
                        p90,
                        p99,
                        histogram.highest / 1e6,
                        histogram.total / 1e9,
                    )
                )
    return rows
