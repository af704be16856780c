"""The shipped model for speech and music, on the shipped sample, a made-up tune, and noise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from streamer import hub
from streamer.audio.decode import decode
from streamer.events.sound import SoundModel, SoundRules, SoundStream
from streamer.packets import AudioEvent, AudioFrame, Samples

RATE = 16000
SAMPLE = Path(__file__).parents[2] / "graphs" / "samples" / "austen.flac"
RULES = SoundRules(on=0.5, off=0.5, min_on=0.3, min_off=0.4, smooth=0.3)


@pytest.fixture(scope="module")
def model() -> SoundModel:
    return SoundModel(hub.resolve("speech-music", task="events.sound", rate=RATE).files["model"])


def hear(model: SoundModel, samples: Samples, chunk: int = 1600) -> list[AudioEvent]:
    stream, events = SoundStream(model, RULES), list[AudioEvent]()
    for at in range(0, len(samples), chunk):
        ended, pieces = stream.take(AudioFrame(samples[at : at + chunk, None], RATE, at))
        events += ended
        for piece in pieces:
            events += stream.heard(model.run([piece])[0])
    return events + stream.finish()


def share(events: list[AudioEvent], label: str, samples: Samples) -> float:
    """Of the time."""
    times = [e.end - e.start for e in events if e.label == label and e.end is not None]
    return sum(times) / (len(samples) / RATE)


def tune(seconds: float) -> Samples:
    """Chords of decaying tones with overtones, two a second, over a bass."""
    out = np.zeros(int(seconds * RATE))
    chords = ((220, 277, 330), (247, 311, 370), (196, 247, 294), (220, 262, 330))
    t = np.arange(RATE) / RATE
    for n in range(int(seconds * 2) - 2):
        begin = n * RATE // 2
        for f in (*chords[n // 2 % 4], chords[n // 2 % 4][0] / 2):
            for k in range(1, 7):
                out[begin : begin + RATE] += np.sin(2 * np.pi * f * k * t) * np.exp(-3 * k * t) / k
    return (0.1 * out / np.abs(out).max()).astype(np.float32)


def speech() -> Samples:
    return np.concatenate([frame.samples[:, 0] for frame in decode(SAMPLE)])


def test_speech_is_speech_and_no_music(model: SoundModel) -> None:
    samples = speech()
    events = hear(model, samples)
    assert share(events, "speech", samples) > 0.8 and share(events, "music", samples) < 0.05


def test_a_tune_is_music_and_no_speech(model: SoundModel) -> None:
    samples = tune(12.0)
    events = hear(model, samples)
    assert share(events, "music", samples) > 0.7 and share(events, "speech", samples) < 0.1


def test_noise_is_neither(model: SoundModel) -> None:
    noise = (np.random.default_rng(0).normal(size=10 * RATE) * 0.03).astype(np.float32)
    events = hear(model, noise)
    assert share(events, "speech", noise) == 0 and share(events, "music", noise) < 0.1


@pytest.mark.parametrize("chunk", [1, 333, 10_000_000])
def test_chunks_change_nothing(model: SoundModel, chunk: int) -> None:
    samples = speech()[: 3 * RATE]
    assert hear(model, samples, chunk) == hear(model, samples)
