"""Audio by media time: whatever is kept reads back, gaps are silence."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from streamer.asr.ring import AudioRing
from streamer.packets import AudioFrame, Stamp


def frame(start: int, length: int) -> AudioFrame:
    """Sample i of the stream has the value i + 1."""
    values = np.arange(start + 1, start + length + 1, dtype=np.float32)
    return AudioFrame(values[:, None], 16000, start)


@given(
    st.lists(st.tuples(st.integers(-20, 30), st.integers(1, 40)), min_size=1, max_size=20),
    st.data(),
)
def test_reads_what_was_pushed_and_silence_elsewhere(
    jumps: list[tuple[int, int]], data: st.DataObject
) -> None:
    ring, truth = AudioRing(), np.zeros(2000, np.float32)
    for jump, length in jumps:
        start = max(0, ring.end + jump)
        pushed = frame(start, length)
        new = pushed.samples[max(0, ring.end - start) :, 0]
        truth[start + length - len(new) : start + length] = new
        ring.push(pushed, Stamp(position=start + length))
    begin = data.draw(st.integers(0, 1500))
    end = data.draw(st.integers(begin, 1900))
    assert np.array_equal(ring.read(begin, end), truth[begin:end])
    ring.forget(begin)
    assert np.array_equal(ring.read(begin, end), truth[begin:end])


def test_stamps_are_those_with_which_the_samples_came() -> None:
    ring = AudioRing()
    for number in range(5):
        ring.push(frame(number * 100, 100), Stamp(position=number))
    assert ring.stamp_at(0) is None
    for end, position in ((1, 0), (100, 0), (101, 1), (500, 4), (9999, 4)):
        stamp = ring.stamp_at(end)
        assert stamp is not None
        assert stamp.position == position


def test_forgetting_keeps_memory_flat() -> None:
    ring = AudioRing()
    for number in range(1000):
        ring.push(frame(number * 100, 100), Stamp())
        ring.forget(ring.end - 1000)
        assert ring.end - ring.begin <= 1100
    assert ring.read(0, 100).any() == 0


def test_broken_samples_read_as_silence() -> None:
    ring = AudioRing()
    ring.push(AudioFrame(np.full((10, 1), np.nan, np.float32), 16000, 0), Stamp())
    assert not ring.read(0, 10).any()
