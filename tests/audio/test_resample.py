import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.audio.resample import Resampler, mix
from streamer.errors import InputError
from streamer.packets import AudioFrame
from tests.audio.signals import cut, tone


def convert(frames, rate=16000, channels=1):
    resampler = Resampler(rate, channels)
    out = [piece for frame in frames for piece in resampler.process(frame)]
    return out + resampler.flush()


def joined(frames):
    for before, after in zip(frames, frames[1:], strict=False):
        assert after.start == before.end
    return np.concatenate([frame.samples for frame in frames])


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000])
def test_a_tone_keeps_its_pitch_level_and_length(rate):
    out = joined(convert(cut(tone(1.0, rate, 2), rate, [rate // 50])))
    assert abs(len(out) - 16000) <= 1
    middle = slice(2000, 14000)
    assert np.abs(out[middle] - tone(1.0, 16000)[middle]).max() < 2e-3


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 3000), min_size=1, max_size=6))
def test_the_cut_does_not_matter(sizes):
    noise = np.random.default_rng(1).standard_normal((9600, 2)).astype(np.float32)
    whole = joined(convert([AudioFrame(noise, 48000)]))
    pieces = joined(convert(cut(noise, 48000, sizes)))
    assert np.array_equal(whole, pieces)


def test_single_samples():
    noise = np.random.default_rng(1).standard_normal((2000, 1)).astype(np.float32)
    whole = joined(convert([AudioFrame(noise, 44100)]))
    assert np.array_equal(whole, joined(convert(cut(noise, 44100, [1]))))


def test_after_a_gap_the_start_is_true():
    sound = tone(0.5, 48000)
    frames = [AudioFrame(sound, 48000, 0), AudioFrame(sound, 48000, 48000)]
    out = convert(frames)
    before = [frame for frame in out if frame.start < 12000]
    after = [frame for frame in out if frame.start >= 12000]
    assert before[-1].end <= 8000
    assert abs(before[-1].end - 8000) <= 1
    assert after[0].start == 16000
    assert abs(after[-1].end - 24000) <= 1


def test_overflow_flag_is_passed_on():
    frame = AudioFrame(tone(0.2, 48000), 48000, 0, overflow=True)
    assert convert([frame])[0].overflow


def test_a_changed_rate_is_refused():
    resampler = Resampler(16000)
    resampler.process(AudioFrame(tone(0.1, 48000), 48000))
    with pytest.raises(InputError) as caught:
        resampler.process(AudioFrame(tone(0.1, 8000), 8000, 4800))
    assert caught.value.code == "audio.format-changed"


def test_mix_is_the_mean():
    stereo = np.array([[1, 0], [0.5, -0.5]], np.float32)
    assert mix(stereo, 1).tolist() == [[0.5], [0]]
    assert mix(mix(stereo, 1), 2).tolist() == [[0.5, 0.5], [0, 0]]
    assert mix(stereo, 2) is stereo
