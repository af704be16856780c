"""Levels: loudness against the standard's own figures, clipping, silence, dead sources."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from streamer.audio.decode import decode
from streamer.events.level import LevelRules, LevelStream, is_clipped
from streamer.packets import AudioEvent, AudioFrame, Samples

SAMPLE = Path(__file__).parents[2] / "graphs" / "samples" / "austen.flac"
RATE = 48000


def sine(decibel: float, seconds: float, frequency: float = 997.0, rate: int = RATE) -> Samples:
    t = np.arange(int(seconds * rate)) / rate
    return (10 ** (decibel / 20) * np.sin(2 * np.pi * frequency * t)).astype(np.float32)


def hear(
    samples: Samples, rate: int = RATE, chunk: int = 960, rules: LevelRules | None = None
) -> list[AudioEvent]:
    stream, events = LevelStream(rules), []
    for at in range(0, len(samples), chunk):
        events += stream.push(AudioFrame(samples[at : at + chunk, None], rate, at))
    return events + stream.finish()


@pytest.mark.parametrize("rate", [8000, 16000, 44100, 48000])
def test_a_full_scale_sine_reads_minus_3_lufs(rate: int) -> None:
    stream = LevelStream()
    stream.push(AudioFrame(sine(0, 1, rate=rate)[:, None], rate, 0))
    assert stream.loudness == pytest.approx(-3.01, abs=0.1)


def test_too_loud_begins_and_ends() -> None:
    parts = [sine(-30, 2), sine(-3, 2), sine(-30, 2)]
    events = [e for e in hear(np.concatenate(parts)) if e.label == "loud"]
    assert [e.state for e in events] == ["start", "end"]
    assert 2.0 <= events[0].start <= 2.4 and 3.9 < (events[1].end or 0) < 4.6


def test_silence_is_told_after_a_while_with_its_true_beginning() -> None:
    rng = np.random.default_rng(0)
    quiet = (rng.normal(size=8 * RATE) * 1e-5).astype(np.float32)
    events = hear(np.concatenate([sine(-20, 1), quiet, sine(-20, 1)]))
    assert [(e.label, e.state) for e in events] == [("silence", "start"), ("silence", "end")]
    assert events[0].start == pytest.approx(1.0, abs=0.11)
    assert events[1].end == pytest.approx(9.0, abs=0.21)


def test_a_dead_source_is_told_within_two_seconds() -> None:
    events = hear(np.concatenate([sine(-20, 1), np.zeros(3 * RATE, np.float32)]))
    assert [(e.label, e.state) for e in events] == [("dead", "start"), ("dead", "end")]
    assert events[0].start == pytest.approx(1.0, abs=0.11)


@pytest.mark.parametrize("ceiling", [1.0, 0.5])
def test_clipping_at_full_scale_and_below(ceiling: float) -> None:
    speech = np.concatenate([frame.samples[:, 0] for frame in decode(SAMPLE)])
    assert not [e for e in hear(speech, 16000, 320) if e.label == "clipping"]
    driven = np.clip(speech * 20, -ceiling, ceiling)
    assert [e for e in hear(driven, 16000, 320) if e.label == "clipping"]


def test_a_pure_tone_is_not_clipped_and_a_cut_one_is() -> None:
    for frequency in (50.0, 440.0, 997.0, 3000.0):
        tone = sine(-1, 0.1, frequency)
        assert not is_clipped(tone)
        assert is_clipped(np.clip(tone, -0.6, 0.6))


@pytest.mark.parametrize("chunk", [1, 777, 10**6])
def test_chunks_change_nothing(chunk: int) -> None:
    samples = np.concatenate([sine(-30, 0.5), np.clip(sine(6, 0.5), -1, 1), np.zeros(48000)])
    samples = samples.astype(np.float32)
    assert hear(samples, chunk=chunk) == hear(samples)


def test_a_gap_ends_what_lasts_and_rubbish_is_silence() -> None:
    stream = LevelStream()
    events = stream.push(AudioFrame(sine(0, 1)[:, None], RATE, 0))
    assert ("loud", "start") in [(e.label, e.state) for e in events]
    nothing = np.full((RATE, 2), np.inf, np.float32)
    events = stream.push(AudioFrame(nothing, RATE, 10 * RATE))
    assert ("loud", "end") in [(e.label, e.state) for e in events]
    assert stream.loudness == -120.0
