"""Endless speech is cut where it is quietest."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from streamer.asr.cutting import quietest


@given(st.integers(3000, 27000), st.integers(2400, 6000))
def test_finds_a_pause(begin: int, length: int) -> None:
    rng = np.random.default_rng(begin)
    samples = rng.normal(0, 0.1, 36000).astype(np.float32)
    samples[begin : begin + length] *= 0.05
    assert begin <= quietest(samples, 2000, 34000) <= begin + length


@given(st.integers(0, 5000), st.integers(0, 5000))
def test_stays_within_its_window(begin: int, length: int) -> None:
    samples = np.zeros(20000, np.float32)
    assert begin <= quietest(samples, begin, begin + length) <= begin + length
