from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from streamer.graph import ChannelStats, Engine, QueueSpec
from streamer.graph.virtual import run
from streamer.trace import WAIT, WORK, Recorder
from streamer.trace.prometheus import LATENCY_BUCKETS, Metrics
from tests.graph.nodes import Collect, Count, Item, Pass, make_plan

Sample = dict[tuple[str, str, str], float]


def parsed(metrics: Metrics) -> Sample:
    """(name, edge or node, le) -> value, by the parser of the Prometheus project."""
    found: Sample = {}
    for family in text_string_to_metric_families(metrics.render().decode()):
        assert family.documentation
        for sample in family.samples:
            labels = dict(sample.labels)
            le = labels.pop("le", "")
            found[sample.name, "".join(labels.values()), le] = sample.value
    return found


class Slow(Collect):
    async def process(self, item: Item) -> None:
        await asyncio.sleep(0.05)
        await super().process(item)


def test_a_run_is_shown_edge_by_edge_and_node_by_node() -> None:
    class Live(Count):
        every = 0.02
        total = 100

    edges = ("mic.out -> pass.inp", "pass.out -> slow.inp")
    plan = make_plan(
        {"mic": Live, "pass": Pass, "slow": Slow},
        *edges,
        queues={edges[1]: QueueSpec(0.1, None, "drop_oldest")},
    )
    engine = Engine(plan)
    run(engine.run())
    values = parsed(Metrics(engine.recorder, lambda: [c.stats() for c in engine.channels]))
    dropped = engine.channels[1].dropped
    assert dropped > 10
    assert values["streamer_edge_dropped_total", edges[1], ""] == dropped
    assert values["streamer_edge_dropped_seconds_total", edges[1], ""] == pytest.approx(
        dropped * 0.02
    )
    assert values["streamer_edge_accepted_total", edges[0], ""] == 100
    assert values["streamer_edge_depth", edges[1], ""] == 0
    work = {le: v for (name, node, le), v in values.items()
            if name == "streamer_node_work_seconds_bucket" and node == "slow"}  # fmt: skip
    assert work["0.02"] == 0
    assert work["0.1"] == work["+Inf"] == 100 - dropped
    assert values["streamer_node_work_seconds_sum", "slow", ""] == pytest.approx(
        0.05 * (100 - dropped), rel=1e-3
    )
    assert values["streamer_sink_age_seconds_count", "slow", ""] == 100 - dropped
    assert values["streamer_edge_wait_seconds_count", edges[0], ""] == 100


@given(st.lists(st.integers(0, 10**11), min_size=1, max_size=60))
def test_buckets_count_every_record_and_err_by_a_sixteenth_at_most(times: list[int]) -> None:
    recorder = Recorder(capacity=4)
    for time in times:
        recorder.add(WAIT, recorder.track("a"), 0, time, 0.0)
    values = parsed(Metrics(recorder))
    name = "streamer_edge_wait_seconds_bucket"
    for bound in LATENCY_BUCKETS:
        count = values[name, "a", str(bound)]
        assert count <= sum(time <= bound * 1e9 for time in times)
        assert count >= sum(time * 17 / 16 <= bound * 1e9 for time in times)
    assert values[name, "a", "+Inf"] == len(times)
    assert values["streamer_edge_wait_seconds_sum", "a", ""] == pytest.approx(sum(times) / 1e9)


def stats(accepted: int, depth: int, oldest: float) -> ChannelStats:
    return ChannelStats("a -> b", depth, depth * 0.02, oldest, accepted, 1, 0.02, 0, 0, 0, 0)


def test_sessions_are_added_up_and_ended_ones_stay_in_the_counts() -> None:
    sessions = [stats(10, 2, 0.5), stats(20, 1, 0.7)]
    metrics = Metrics(Recorder(), lambda: sessions)
    before = parsed(metrics)
    assert before["streamer_edge_accepted_total", "a -> b", ""] == 30
    assert before["streamer_edge_depth", "a -> b", ""] == 3
    assert before["streamer_edge_oldest_seconds", "a -> b", ""] == 0.7
    metrics.retire([sessions.pop(0)])
    sessions[0] = replace(sessions[0], accepted=25)
    after = parsed(metrics)
    assert after["streamer_edge_accepted_total", "a -> b", ""] == 35
    assert after["streamer_edge_dropped_total", "a -> b", ""] == 2
    assert after["streamer_edge_depth", "a -> b", ""] == 1


def test_any_name_survives_the_text_format() -> None:
    recorder = Recorder(capacity=4)
    name = 'say "hi"\\ \n{x="1"}'
    recorder.add(WORK, recorder.track(name), 0, 10, 0.0)
    assert parsed(Metrics(recorder))["streamer_node_work_seconds_count", name, ""] == 1


def test_metrics_of_ones_own() -> None:
    metrics = Metrics(Recorder())
    metrics.gauge("streamer_sessions", "Sessions now.").set_function(lambda: 7)
    refused = metrics.counter("streamer_refused", "Sessions refused.", ["reason"])
    refused.labels("full").inc()
    batch = metrics.histogram("streamer_batch_size", "Batches.", buckets=(1, 2, 4))
    for size in (1, 2, 2, 3, 9):
        batch.observe(size)
    values = parsed(metrics)
    assert values["streamer_sessions", "", ""] == 7
    assert values["streamer_refused_total", "full", ""] == 1
    assert [values["streamer_batch_size_bucket", "", le] for le in ("1.0", "2.0", "4.0")] == [
        1,
        3,
        4,
    ]
