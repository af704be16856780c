from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.errors import InputError
from streamer.mqtt.audio import AudioFormat, PcmReader


def numbered(number: int, frames: int = 4) -> bytes:
    return (number % 2**32).to_bytes(4, "little") + bytes(2 * frames)


@given(
    st.lists(st.integers(0, 63), min_size=1, max_size=30, unique=True),
    st.integers(0, 2**32 - 1),
)
def test_missing_messages_leave_a_gap_of_their_length(kept: list[int], first: int) -> None:
    reader = PcmReader(AudioFormat(), numbered=True)
    starts = []
    for number in sorted(kept):
        frame = reader.read(numbered(first + number))
        assert frame is not None
        starts.append(frame.start)
        assert reader.read(numbered(first + number)) is None, "a repetition"
    assert starts == [4 * (number - min(kept)) for number in sorted(kept)]


def test_a_sender_that_starts_again_is_heard_without_a_gap() -> None:
    reader = PcmReader(AudioFormat(), numbered=True)
    starts = []
    for number in (5000, 5001, 0, 1, 2**31):
        frame = reader.read(numbered(number))
        assert frame is not None
        starts.append(frame.start)
    assert starts == [0, 4, 8, 12, 16]


def test_samples_are_exact_and_not_a_number_is_counted() -> None:
    reader = PcmReader(AudioFormat(format="f32le", rate=48000, channels=2))
    samples = np.float32([[0.25, -1], [np.nan, 0.5]])
    frame = reader.read(samples.tobytes())
    assert frame is not None
    np.testing.assert_array_equal(frame.samples, np.float32([[0.25, -1], [0, 0.5]]))
    assert (frame.rate, frame.channels, reader.not_finite) == (48000, 2, 1)


@pytest.mark.parametrize("payload", [b"", b"1", b"12345"])
def test_half_a_frame_is_refused_and_does_not_move_the_clock(payload: bytes) -> None:
    reader = PcmReader(AudioFormat(channels=2))
    with pytest.raises(InputError, match="whole number of frames of 4 bytes"):
        reader.read(payload)
    assert reader.position == 0


@given(st.binary(max_size=200))
def test_any_announcement_is_understood_or_refused_in_plain_words(payload: bytes) -> None:
    try:
        AudioFormat.from_message(payload)
    except InputError as error:
        assert error.code == "mqtt.bad-format"


def test_an_announcement() -> None:
    announced = AudioFormat.from_message(b'{"rate": 48000, "format": "f32le", "name": "kitchen"}')
    assert announced == AudioFormat(format="f32le", rate=48000, channels=1)
    with pytest.raises(InputError, match="rate: .*greater than 0"):
        AudioFormat.from_message(b'{"rate": 0}')
