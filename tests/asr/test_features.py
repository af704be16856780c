"""Features: the same numbers at any chunking, flat memory, clear refusals."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("kaldi_native_fbank")

from streamer.asr.features import FRAME_SHIFT, LOG_FLOOR, NUM_MEL, FeatureStream, log_mel
from streamer.errors import InputError


def noise(samples: int, seed: int = 0) -> np.ndarray:
    return (np.random.default_rng(seed).standard_normal(samples) * 0.1).astype(np.float32)


@pytest.mark.parametrize("seed", range(5))
def test_any_chunking_gives_the_same_numbers(seed: int) -> None:
    rng = np.random.default_rng(seed)
    audio = noise(16_000 + int(rng.integers(400)), seed)
    stream, parts, at = FeatureStream(), [], 0
    while at < audio.size:
        step = int(rng.choice([0, 1, 7, 160, 1600, 5000]))
        parts.append(stream.accept(audio[at : at + step]))
        at += step
    parts.append(stream.flush())
    assert np.array_equal(np.concatenate(parts), log_mel(audio))
    assert stream.num_samples == audio.size
    assert stream.num_frames == len(log_mel(audio))


def test_single_samples() -> None:
    audio = noise(700)
    stream = FeatureStream()
    parts = [stream.accept(audio[i : i + 1]) for i in range(audio.size)]
    assert np.array_equal(np.concatenate([*parts, stream.flush()]), log_mel(audio))


@pytest.mark.parametrize(
    ("samples", "frames"), [(0, 0), (1, 0), (80, 1), (160, 1), (1600, 10), (1679, 10), (1680, 11)]
)
def test_number_of_frames(samples: int, frames: int) -> None:
    assert log_mel(noise(samples)).shape == (frames, NUM_MEL)


def test_silence_is_the_floor() -> None:
    out = log_mel(np.zeros(16_000, np.float32))
    assert np.allclose(out, LOG_FLOOR, atol=1e-4)


def test_a_tone_lands_in_its_bin() -> None:
    time = np.arange(16_000) / 16_000
    for hertz, bin_ in ((300, 7), (1000, 26), (4000, 62)):
        frame = log_mel(np.sin(2 * np.pi * hertz * time).astype(np.float32))[50]
        assert abs(int(frame.argmax()) - bin_) <= 1, hertz


def test_latency_of_a_frame_is_below_25_ms() -> None:
    stream = FeatureStream()
    ready = 0
    for i in range(100):
        ready += len(stream.accept(noise(FRAME_SHIFT, i)))
        assert (i + 1) - ready <= 1


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_not_finite_is_refused_and_nothing_is_used(bad: float) -> None:
    stream = FeatureStream()
    audio = noise(800)
    with pytest.raises(InputError, match="NaN or infinite"):
        stream.accept(np.where(np.arange(800) == 3, np.float32(bad), audio))
    first = stream.accept(audio)
    assert np.array_equal(np.concatenate([first, stream.flush()]), log_mel(audio))


def test_stereo_and_late_audio_are_refused() -> None:
    stream = FeatureStream()
    with pytest.raises(InputError) as wrong:
        stream.accept(np.zeros((100, 2), np.float32))
    assert wrong.value.code == "asr.features.shape"
    stream.flush()
    with pytest.raises(InputError) as late:
        stream.accept(np.zeros(100, np.float32))
    assert late.value.code == "asr.features.finished"
    stream.reset()
    assert len(stream.accept(noise(1600))) == 9
