from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.errors import InputError
from streamer.trace import WAIT, Recorder
from streamer.trace.prometheus import LATENCY_BUCKETS, Metrics
from streamer.trace.scrape import Distribution, Snapshot

KEY = ("streamer_edge_wait_seconds", "a -> b")


def snapshot(recorder: Recorder) -> Snapshot:
    return Snapshot.parse(Metrics(recorder).render().decode(), 0.0)


@given(
    st.lists(st.integers(1, 10**10), max_size=40),
    st.lists(st.integers(1, 10**10), min_size=1, max_size=40),
    st.sampled_from([0.5, 0.9, 0.99]),
)
def test_quantiles_of_an_interval_lie_in_the_right_bucket(
    before: list[int], after: list[int], share: float
) -> None:
    recorder = Recorder(capacity=4)
    track = recorder.track(KEY[1])
    for time in before:
        recorder.add(WAIT, track, 0, time, 0.0)
    first = snapshot(recorder)
    for time in after:
        recorder.add(WAIT, track, 0, time, 0.0)
    part = snapshot(recorder).distributions[KEY].since(first.distributions.get(KEY))
    assert part.count == len(after)
    true = sorted(after)[math.ceil(share * len(after)) - 1] / 1e9
    low = max((b for b in LATENCY_BUCKETS if b < true), default=0.0)
    high = min(b for b in LATENCY_BUCKETS if b >= true * 17 / 16)
    assert low * (1 - 1e-9) <= part.quantile(share) <= high * (1 + 1e-9)


def test_a_restarted_service_counts_from_nothing() -> None:
    old = Distribution({1.0: 5, math.inf: 9}, 9, 20.0)
    new = Distribution({1.0: 2, math.inf: 2}, 2, 1.0)
    assert new.since(old) == new
    assert old.since(new).count == 7


def test_an_empty_distribution_has_no_quantile() -> None:
    assert math.isnan(Distribution().quantile(0.5))
    assert math.isnan(Distribution({1.0: 0, math.inf: 0}, 0, 0.0).quantile(0.5))


@pytest.mark.parametrize("text", ["<html>no</html>", 'a{b="', "a b c d", '{"json": 1}'])
def test_what_is_not_metrics_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="top.not-metrics"):
        Snapshot.parse(text, 0.0)
