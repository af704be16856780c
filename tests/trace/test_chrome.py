"""The trace file is what Perfetto reads."""

from __future__ import annotations

import json
from pathlib import Path

from streamer.trace import AGE, BLOCKED, WAIT, WORK, Recorder, write_chrome_trace


def test_every_span_becomes_events_with_times_in_microseconds(tmp_path: Path) -> None:
    recorder = Recorder()
    edge, node = recorder.track("a.out -> b.inp"), recorder.track("b")
    recorder.add(WAIT, edge, 1_000_000, 3_000_000, 0.5)
    recorder.add(WORK, node, 3_000_000, 4_500_000, 0.5)
    recorder.add(BLOCKED, edge, 4_500_000, 5_000_000, 0.5)
    recorder.add(AGE, node, 1_000_000, 5_000_000, 0.5)
    path = tmp_path / "trace.json"
    write_chrome_trace(recorder, path)
    events = json.loads(path.read_text())["traceEvents"]
    by_phase: dict[str, list[dict[str, object]]] = {}
    for event in events:
        by_phase.setdefault(event["ph"], []).append(event)
    (work,) = by_phase["X"]
    assert (work["name"], work["ts"], work["dur"]) == ("b", 3000.0, 1500.0)
    begins, ends = by_phase["b"], by_phase["e"]
    assert [e["ts"] for e in begins] == [1000.0, 4500.0]
    assert [e["ts"] for e in ends] == [3000.0, 5000.0]
    assert [e["id"] for e in begins] == [e["id"] for e in ends]
    assert by_phase["C"][0]["args"] == {"age": 4.0}
    names = {e["args"]["name"] for e in by_phase["M"]}  # type: ignore[index]
    assert {"a.out -> b.inp", "b"} <= names


def test_the_ring_keeps_the_newest_spans() -> None:
    recorder = Recorder(capacity=4)
    track = recorder.track("n")
    for number in range(10):
        recorder.add(WORK, track, number, number + 1, 0.0)
    assert [span.begin for span in recorder.spans()] == [6, 7, 8, 9]
    assert track.histograms[WORK].count == 10
