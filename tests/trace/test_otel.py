from __future__ import annotations

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from streamer.graph import Engine
from streamer.graph.virtual import run
from streamer.trace import WORK, Recorder
from streamer.trace.otel import UtteranceSpans
from tests.graph.nodes import Collect, Count, Pass, make_plan

EDGES = ("mic.out -> pass.inp", "pass.out -> end.inp")


class Live(Count):
    every = 0.02
    total = 100


def exporting(recorder: Recorder) -> tuple[UtteranceSpans, InMemorySpanExporter]:
    memory = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(memory))
    return UtteranceSpans(provider.get_tracer("test"), recorder, offset_ns=10**18), memory


def test_an_utterance_has_a_child_for_each_edge_and_node_and_no_more() -> None:
    shared = Recorder()
    engine = Engine(
        make_plan({"mic": Live, "pass": Pass, "end": Collect}, *EDGES), recorder=shared.child()
    )
    run(engine.run())
    spans, memory = exporting(engine.recorder)
    assert spans.export(0.5, 1.0, {"text": "good morning"}) == 5
    *children, parent = memory.get_finished_spans()
    assert parent.name == "utterance"
    assert parent.attributes is not None and parent.context is not None
    assert parent.attributes["text"] == "good morning"
    assert parent.attributes["streamer.age_ms"] == pytest.approx(0, abs=1)
    assert {child.name for child in children} == {
        f"wait {EDGES[0]}", "work pass", f"wait {EDGES[1]}", "work end",
    }  # fmt: skip
    for child in children:
        assert child.parent is not None and child.attributes is not None
        assert child.parent.span_id == parent.context.span_id
        assert child.attributes["streamer.packets"] == 25
        assert child.start_time is not None and child.end_time is not None
        # Packet n has media time and loop time (n + 1) * 20 ms.
        assert child.end_time - child.start_time == pytest.approx(24 * 0.02e9, abs=1e3)
    assert parent.start_time is not None
    assert parent.start_time > 10**18
    assert sum(t.histograms[WORK].count for t in shared.tracks) == 200, "counted once"
    assert shared.written == engine.recorder.written == 500


def test_what_the_ring_has_forgotten_is_not_exported() -> None:
    recorder = Recorder(capacity=8)
    track = recorder.track("node")
    for n in range(100):
        recorder.add(WORK, track, n * 1000, n * 1000 + 500, n * 0.01)
    spans, memory = exporting(recorder)
    assert spans.export(0.1, 0.5) == 0
    assert memory.get_finished_spans() == ()
    assert spans.export(0.9, 0.99) == 2
    (work, _) = memory.get_finished_spans()
    assert work.attributes is not None
    assert work.attributes["streamer.packets"] == 8
    assert work.attributes["streamer.total_ms"] == pytest.approx(8 * 500e-6)
