"""Echo cancellation with speech through a simulated room."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from streamer import hub
from streamer.audio.decode import AudioReader
from streamer.audio.echo import RATE, EchoCanceller
from streamer.packets import AudioFrame, Samples
from streamer.vad.segmenter import SpeechSegmenter
from streamer.vad.silero import SileroModel
from streamer.vad.stream import SpeechStream

pytest.importorskip("livekit")
CHUNK = RATE // 50


def room(seed: int = 0, delay: float = 0.06, decay: float = 0.25) -> Samples:
    """An impulse response: ``delay`` s of air and buffers, then noise that falls by 60 dB."""
    rng, length = np.random.default_rng(seed), int(decay * RATE)
    tail = rng.normal(size=length) * 10 ** (-3 * np.arange(length) / length)
    response = np.concatenate([np.zeros(int(delay * RATE)), [1.0], 0.3 * tail])
    return (0.5 * response / np.sqrt((response**2).sum())).astype(np.float32)


def echo_of(far: Samples, response: Samples) -> Samples:
    size = len(far) + len(response)
    product = np.fft.rfft(far, size) * np.fft.rfft(response, size)
    return np.fft.irfft(product, size)[: len(far)].astype(np.float32)


def run(far: Samples, mic: Samples, chunk: int = CHUNK, clock: float = 1000.0) -> Samples:
    """Both in step, as a sink and a microphone would deliver them."""
    canceller, out = EchoCanceller(), []
    for at in range(0, len(mic), chunk):
        canceller.played(far[at : at + chunk], RATE, clock + at / RATE)
        part = mic[at : at + chunk]
        out.append(canceller.clean(part, clock + (at + len(part)) / RATE))
    return np.concatenate(out)


def level(samples: Samples) -> float:
    return float(10 * np.log10(np.mean(samples.astype(np.float64) ** 2) + 1e-12))


@pytest.fixture(scope="module")
def voices(sample: Path) -> tuple[Samples, Samples]:
    """What the loudspeaker says and what a person says meanwhile."""
    reader = AudioReader(str(sample))
    samples = np.concatenate([frame.samples[:, 0] for frame in reader.read(60)])
    reader.close()
    return samples[: 20 * RATE], samples[20 * RATE : 28 * RATE]


def test_single_talk_loses_the_echo(voices: tuple[Samples, Samples]) -> None:
    far, _ = voices
    noise = np.random.default_rng(2).normal(0, 1e-4, len(far)).astype(np.float32)
    mic = echo_of(far, room()) + noise
    out = run(far, mic)
    assert len(out) == len(mic)
    late = slice(5 * RATE, None)
    erle = level(mic[late]) - level(out[late])
    assert erle > 30, f"ERLE {erle:.1f} dB"


def test_the_person_is_noticed_through_the_assistants_speech_and_the_echo_is_not(
    voices: tuple[Samples, Samples],
) -> None:
    """The echo is as loud as the person; the person begins at 10 s."""
    far, person = voices
    near = np.zeros_like(far)
    near[10 * RATE : 10 * RATE + len(person)] = person
    echo = 2 * echo_of(far, room())
    starts = _starts(run(far, echo + near))
    voice = 10 + np.flatnonzero(np.abs(person) > 0.03)[0] / RATE
    assert not [start for start in starts if 2 < start < 9.9]
    assert voice - 0.3 < min(start for start in starts if start > 9) < voice + 0.2
    assert len([start for start in _starts(echo + near) if 2 < start < 9.9]) >= 1


def test_nothing_played_changes_little(voices: tuple[Samples, Samples]) -> None:
    _, person = voices
    out = run(np.zeros_like(person), person)
    assert abs(level(out) - level(person)) < 1.5


def test_any_cut_gives_all_samples(voices: tuple[Samples, Samples]) -> None:
    _, person = voices
    canceller = EchoCanceller()
    sizes, at, total = [1, 159, 160, 161, 320, 1000, 37], 0, 0
    for i in range(40):
        part = person[at : at + sizes[i % len(sizes)]]
        at += len(part)
        total += len(canceller.clean(part, 5 + at / RATE))
    assert total + canceller.held == at


def _starts(samples: Samples) -> list[float]:
    """Where Silero notices speech (s), without pre-roll."""
    files = hub.resolve("silero-vad", task="vad", rate=RATE).files
    model, stream = SileroModel(files["model"]), SpeechStream(SpeechSegmenter(pre_roll=0))
    starts = []
    for piece in stream.take(AudioFrame(samples[:, None], RATE)):
        (probabilities,) = model.run_pieces([piece])
        starts += [e.start for e in stream.heard(piece, probabilities) if e.state == "start"]
    return starts
