"""Percentiles are right within one sixteenth."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from streamer.trace import Histogram


@given(st.lists(st.integers(0, 2**50), min_size=1, max_size=300), st.floats(1, 100))
def test_percentiles_are_within_a_sixteenth(values: list[int], percent: float) -> None:
    histogram = Histogram()
    for value in values:
        histogram.record(value)
    exact = sorted(values)[max(0, math.ceil(percent / 100 * len(values)) - 1)]
    assert exact <= histogram.percentile(percent) <= exact * (1 + 1 / 16) + 1
    assert histogram.count == len(values) and histogram.total == sum(values)
    assert sum(count for _, count in histogram.buckets()) == len(values)


def test_negative_values_count_as_zero_and_an_empty_one_gives_zero() -> None:
    histogram = Histogram()
    assert histogram.percentile(99) == 0 and histogram.mean == 0
    histogram.record(-5)
    assert histogram.percentile(50) == 0
