"""Scenes of speech, music, both and neither, whose frames are labelled because we mix them."""

from __future__ import annotations

import csv
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streamer.asr.features import LOG_FLOOR, NUM_MEL, log_mel
from tools.asr_train.augment import Augmenter
from tools.asr_train.store import SAMPLE_RATE, read_audio, read_manifest
from tools.event_train.data import crop, mix, spoil

__all__ = ["GROUPS", "LABELS", "Sounds", "active", "montage", "read_sounds", "scenes"]

Features = NDArray[np.float32]
Samples = NDArray[np.float32]

LABELS = ("speech", "music")
GROUPS = {"speech": (1, 0), "music": (0, 1), "both": (1, 1), "neither": (0, 0)}
SHARES = (0.3, 0.3, 0.2, 0.2)
HELD_OUT_FOLDS = ("4", "5")
SPEECH = {
    True: ("librispeech-train", "librispeech-train-untranscribed", "speechocean762-train",
           "barista-untranscribed"),
    False: ("librispeech-train-untranscribed", "librispeech-other-dev", "speechocean762-dev",
            "librivox-dev"),
}  # fmt: skip
SOFT = 5.5
"""Nepers of power below the loudest frames, from which on a frame is a pause."""
PAUSE, BREAK = 30, 100
"""Frames of a pause that still belong to the speech around it: in training, in tests."""


@dataclass(frozen=True, slots=True)
class Sounds:
    """Samples (16 kHz) of each kind."""

    speech: list[Samples]
    music: list[Samples]
    other: list[Samples]


def read_sounds(corpus: Path, music: Path, packages: Sequence[str], train: bool) -> Sounds:
    """One side: speech divided by speaker, music by package, other sound by the folds of ESC-10."""
    limit, seconds = (400, 60.0) if train else (120, 30.0)
    speech = list(_speech(corpus, train, limit))
    tunes = [_part(path, seconds) for name in packages for path in sorted((music / name).iterdir())]
    with (corpus / "esc10" / "manifest.tsv").open(encoding="utf-8", newline="") as source:
        rows = list(csv.DictReader(source, delimiter="\t"))
    clips = [r["path"] for r in rows if (r["fold"] not in HELD_OUT_FOLDS) == train]
    other = [read_audio(corpus / "esc10" / path) for path in clips]
    if not train:
        other.append(read_audio(corpus / "kitchen-noise" / "kitchen.opus"))
    other += _hums(np.random.default_rng(1 if train else 2), len(other) // 4)
    return Sounds(speech, [tune for tune in tunes if len(tune) > 5 * SAMPLE_RATE], other)


def _speech(corpus: Path, train: bool, limit: int) -> Iterator[Samples]:
    for name in SPEECH[train]:
        found = list(read_manifest(corpus / name / "manifest.tsv"))
        if name == "librispeech-train-untranscribed":
            found = [u for u in found if (zlib.crc32(u.speaker.encode()) % 5 > 0) == train]
        for utterance in found[:: max(1, len(found) // limit)][:limit]:
            yield read_audio(utterance.path)


def _part(path: Path, seconds: float) -> Samples:
    """From near the beginning, where many tunes fade in."""
    samples = read_audio(path)
    begin = min(int(8 * SAMPLE_RATE), max(0, len(samples) - int(seconds * SAMPLE_RATE)))
    return samples[begin : begin + int(seconds * SAMPLE_RATE)]


def _hums(rng: np.random.Generator, count: int) -> Iterator[Samples]:
    """Coloured noise, every other time with the hum of a machine, 8 s."""
    size = 8 * SAMPLE_RATE
    t = np.arange(size) / SAMPLE_RATE
    for n in range(count):
        spectrum = np.fft.rfft(rng.normal(size=size))
        spectrum /= np.maximum(np.arange(len(spectrum)), 20) ** rng.uniform(0, 1)
        noise = np.fft.irfft(spectrum, size)
        noise /= noise.std()
        if n % 2:
            base = rng.choice([50, 60, 100, 120]) * rng.uniform(0.99, 1.01)
            hum = sum(np.sin(2 * np.pi * base * k * t) / k for k in range(1, 12))
            noise = noise * rng.uniform(0.05, 1) + hum
        yield (noise * 10 ** rng.uniform(-2.5, -1)).astype(np.float32)


def active(x: Features, pause: int = PAUSE) -> NDArray[np.bool_]:
    """Which frames ``[rows]`` sound; pauses of up to ``pause`` frames count as sound."""
    energy = np.log(np.exp(x.astype(np.float64)).sum(axis=1))
    loud = energy > np.percentile(energy, 95) - SOFT
    places = np.flatnonzero(loud)
    for a, b in zip(places, places[1:], strict=False):
        if b - a <= pause:
            loud[a:b] = True
    return loud


def scenes(
    sounds: Sounds, size: int, rows: int, rng: np.random.Generator
) -> Iterator[tuple[Features, Features]]:
    """Batches without end: ``[size, rows, 80]`` and labels ``[size, rows, 2]`` (0 or 1)."""
    augment = Augmenter()
    speech, music, other = (
        [np.maximum(log_mel(s), LOG_FLOOR) for s in kind]
        for kind in (sounds.speech, sounds.music, sounds.other)
    )
    talks, tunes = [active(x) for x in speech], [active(x) for x in music]
    while True:
        x = np.empty((size, rows, NUM_MEL), np.float32)
        y = np.zeros((size, rows, 2), np.float32)
        for i in range(size):
            kind = rng.choice(len(GROUPS), p=SHARES)
            says, plays = list(GROUPS.values())[kind]
            scene = np.full((rows, NUM_MEL), LOG_FLOOR, np.float32)
            if says:
                scene, y[i, :, 0] = _talk(speech, talks, rows, rng)
            if plays:
                tune, y[i, :, 1] = _tune(music, tunes, rows, rng)
                scene = mix(scene, tune, rng.uniform(-5, 15)) if says else tune
            if not says and not plays or rng.random() < 0.4:
                noise = crop(other[int(rng.integers(len(other)))], rows, rng)
                scene = mix(scene, noise, rng.uniform(5, 30)) if says or plays else noise
            x[i] = spoil(augment, scene, rng)
        yield x, y


def _talk(
    speech: list[Features], talks: list[NDArray[np.bool_]], rows: int, rng: np.random.Generator
) -> tuple[Features, NDArray[np.bool_]]:
    """Utterances in a row, with pauses of up to two seconds."""
    parts, labels, length = list[Features](), list[NDArray[np.bool_]](), 0
    while length < rows + 300:
        k = int(rng.integers(len(speech)))
        pause = int(rng.uniform(0, 200))
        parts += [speech[k], np.full((pause, NUM_MEL), LOG_FLOOR, np.float32)]
        labels += [talks[k], np.zeros(pause, bool)]
        length += len(talks[k]) + pause
    begin = int(rng.integers(0, length - rows))
    return (
        np.concatenate(parts)[begin : begin + rows],
        np.concatenate(labels)[begin : begin + rows],
    )


def _tune(
    music: list[Features], tunes: list[NDArray[np.bool_]], rows: int, rng: np.random.Generator
) -> tuple[Features, NDArray[np.bool_]]:
    """Music, which in one scene of three begins or ends in the middle."""
    k = int(rng.integers(len(music)))
    begin = int(rng.integers(0, max(1, len(music[k]) - rows)))
    tune = np.full((rows, NUM_MEL), LOG_FLOOR, np.float32)
    labels = np.zeros(rows, bool)
    part = music[k][begin : begin + rows]
    tune[: len(part)], labels[: len(part)] = part, tunes[k][begin : begin + rows]
    chance, cut = rng.random(), int(rng.uniform(0.2, 0.8) * rows)
    silent = slice(0, cut) if chance < 0.17 else slice(cut, rows) if chance < 0.33 else slice(0)
    tune[silent], labels[silent] = LOG_FLOOR, False
    return tune, labels


def montage(
    sounds: Sounds, minutes: float, rng: np.random.Generator
) -> tuple[Samples, NDArray[np.bool_], list[str]]:
    """A long recording of segments of 4 to 12 s.

    Returns samples, labels ``[frames of 10 ms, 2]``, and each frame's group.
    """
    parts, labels, groups = list[Samples](), list[NDArray[np.bool_]](), list[str]()
    while sum(map(len, parts)) < minutes * 60 * SAMPLE_RATE:
        group = str(rng.choice(list(GROUPS)))
        says, plays = GROUPS[group]
        frames = int(rng.uniform(400, 1200))
        size = frames * SAMPLE_RATE // 100
        truth = np.zeros((frames, 2), bool)
        sound = _cut(sounds.other, size, rng) * np.float32(0.05 if says or plays else 1.0)
        if plays:
            tune = _cut(sounds.music, size, rng)
            truth[:, 1] = _labels(tune, frames)
            sound = sound + tune
        if says:
            talk = np.concatenate(
                [sounds.speech[int(k)] for k in rng.integers(len(sounds.speech), size=12)]
            )
            talk = np.resize(talk, size)
            truth[:, 0] = _labels(talk, frames)
            gain = 10 ** (rng.uniform(-5, 15) / 20) * _level(sound) / _level(talk) if plays else 1
            sound = sound + talk * np.float32(gain)
        parts.append(sound * np.float32(10 ** rng.uniform(-2, -0.9) / _level(sound)))
        labels.append(truth)
        groups += [group] * frames
    return np.concatenate(parts), np.concatenate(labels), groups


def _cut(sounds: list[Samples], size: int, rng: np.random.Generator) -> Samples:
    sound = sounds[int(rng.integers(len(sounds)))]
    begin = int(rng.integers(0, max(1, len(sound) - size)))
    return np.resize(sound[begin : begin + size], size)


def _labels(sound: Samples, frames: int) -> NDArray[np.bool_]:
    found = active(np.maximum(log_mel(sound), LOG_FLOOR), BREAK)
    return np.resize(np.append(found, found[-3:]), frames)


def _level(x: Samples) -> float:
    return float(np.sqrt((x**2).mean()) + 1e-6)
