import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.audio.samples import clean, from_pcm, to_float


@pytest.mark.parametrize(
    ("pcm", "data", "expected"),
    [
        ("u8", bytes([0, 128, 192]), [-1, 0, 0.5]),
        ("s16le", np.array([-32768, 0, 16384], "<i2").tobytes(), [-1, 0, 0.5]),
        ("s24le", b"\x00\x00\x80" + b"\x00\x00\x00" + b"\x00\x00\x40", [-1, 0, 0.5]),
        ("s32le", np.array([-(2**31), 0, 2**30], "<i4").tobytes(), [-1, 0, 0.5]),
        ("f32le", np.array([-1, 0, 0.5], "<f4").tobytes(), [-1, 0, 0.5]),
        ("f64le", np.array([-1, 0, 0.5], "<f8").tobytes(), [-1, 0, 0.5]),
    ],
)
def test_every_format_scales_to_one(pcm, data, expected):
    samples = from_pcm(data, pcm)
    assert samples.dtype == np.float32
    assert samples[:, 0].tolist() == expected


def test_channels_are_interleaved_and_a_partial_frame_is_cut():
    data = np.arange(7, dtype="<f4").tobytes()
    assert from_pcm(data, "f32le", 2).tolist() == [[0, 1], [2, 3], [4, 5]]


def test_clipping_and_offset_stay():
    loud = np.array([1.5, -2.0, 0.25])
    assert to_float(loud)[:, 0].tolist() == [1.5, -2.0, 0.25]


@given(st.lists(st.floats(width=32), max_size=50))
def test_clean_counts_what_it_replaces(values):
    samples = np.array(values, np.float32).reshape(-1, 1)
    cleaned, bad = clean(samples)
    assert np.isfinite(cleaned).all()
    assert bad == sum(not np.isfinite(v) for v in samples[:, 0])
    finite = np.isfinite(samples)
    assert (cleaned[finite] == samples[finite]).all()
