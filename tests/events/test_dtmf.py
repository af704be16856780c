"""Telephone keys: rates, chunks, noise, frequency errors, and speech that is none of them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from streamer.audio.decode import decode
from streamer.errors import InputError
from streamer.events.dtmf import HIGH, KEYS, LOW, DtmfStream
from streamer.packets import AudioEvent, AudioFrame, Samples

SAMPLE = Path(__file__).parents[2] / "graphs" / "samples" / "austen.flac"
ALL = "0123456789*#ABCD"


def tones(
    keys: str, rate: int = 8000, on: float = 0.06, off: float = 0.06, shift: float = 1.0,
    twist: float = 0.0,
) -> Samples:  # fmt: skip
    parts = [np.zeros(int(0.1 * rate))]
    for key in keys:
        i = next(r for r, row in enumerate(KEYS) if key in row)
        j = KEYS[i].index(key)
        t = np.arange(int(on * rate)) / rate
        high = 10 ** (twist / 20) * np.sin(2 * np.pi * HIGH[j] * shift * t)
        parts += [0.1 * (np.sin(2 * np.pi * LOW[i] * shift * t) + high), np.zeros(int(off * rate))]
    return np.concatenate([*parts, np.zeros(int(0.1 * rate))]).astype(np.float32)


def hear(samples: Samples, rate: int = 8000, chunk: int = 160) -> list[AudioEvent]:
    stream, events = DtmfStream(), []
    for at in range(0, len(samples), chunk):
        events += stream.push(AudioFrame(samples[at : at + chunk, None], rate, at))
    return events + stream.finish()


def dialled(events: list[AudioEvent]) -> str:
    return "".join(event.label for event in events if event.state == "start")


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 44100, 48000])
def test_every_key_at_every_rate(rate: int) -> None:
    events = hear(tones(ALL, rate), rate)
    assert dialled(events) == ALL
    assert [event.state for event in events] == ["start", "end"] * len(ALL)
    for n, event in enumerate(events[1::2]):
        begin = 0.1 + 0.12 * n
        assert event.end is not None
        assert abs(event.start - begin) < 0.03 and abs(event.end - begin - 0.06) < 0.04


def test_the_same_key_twice_is_two_keys() -> None:
    assert dialled(hear(tones("5551", off=0.05))) == "5551"


@pytest.mark.parametrize("chunk", [1, 37, 100_000])
def test_chunks_change_nothing(chunk: int) -> None:
    samples = tones("159#")
    assert hear(samples, chunk=chunk) == hear(samples)


@pytest.mark.parametrize("decibel", [20, 15, 10])
def test_in_noise(decibel: float) -> None:
    rng = np.random.default_rng(int(decibel))
    clean = tones(ALL * 6)
    noise = rng.normal(size=len(clean)) * 0.1 * 10 ** (-decibel / 20)
    assert dialled(hear((clean + noise).astype(np.float32))) == ALL * 6


@pytest.mark.parametrize(("shift", "twist"), [(1.015, 0), (0.985, 0), (1.0, 4), (1.0, -8)])
def test_what_the_standard_allows(shift: float, twist: float) -> None:
    assert dialled(hear(tones(ALL, shift=shift, twist=twist))) == ALL


def test_what_is_too_short_is_no_key() -> None:
    assert hear(tones(ALL, on=0.02)) == []


def test_one_tone_alone_and_noise_are_no_keys() -> None:
    t = np.arange(16000) / 8000
    assert hear((0.3 * np.sin(2 * np.pi * 770 * t)).astype(np.float32)) == []
    noise = np.random.default_rng(0).normal(size=80_000) * 0.1
    assert hear(noise.astype(np.float32)) == []


def test_speech_is_no_key() -> None:
    speech = np.concatenate([frame.samples[:, 0] for frame in decode(SAMPLE)])
    assert hear(speech, 16000) == []


def test_hours_of_speech_hold_hardly_a_key() -> None:
    corpus = os.environ.get("STREAMER_CORPUS")
    if corpus is None:
        pytest.skip("STREAMER_CORPUS is not set")
    stream, alarms, seconds, position = DtmfStream(), 0, 0.0, 0
    for name in ("librispeech-other-dev", "speechocean762-dev"):
        files = [p for p in (Path(corpus) / name).iterdir() if p.suffix in (".flac", ".opus")]
        for file in sorted(files)[:150]:
            for frame in decode(file, chunk=0.5):
                moved = AudioFrame(frame.samples, frame.rate, position)
                position = moved.end
                seconds += frame.duration
                alarms += sum(event.state == "start" for event in stream.push(moved))
    assert seconds > 600 and alarms <= 1, alarms


def test_a_gap_ends_the_key_and_rubbish_is_silence() -> None:
    stream, samples = DtmfStream(), tones("7", on=0.5)
    events = stream.push(AudioFrame(samples[:2000, None], 8000, 0))
    events += stream.push(AudioFrame(np.full((2000, 1), np.nan, np.float32), 8000, 9000))
    assert [(e.label, e.state) for e in events] == [("7", "start"), ("7", "end")]
    with pytest.raises(InputError) as caught:
        stream.push(AudioFrame(samples[:, None], 6000, 0))
    assert caught.value.code == "events.dtmf.rate"
