"""Training clips: class-balanced, mixed, noisy and masked anew each time."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streamer.asr.features import LOG_FLOOR, NUM_MEL, log_mel
from tools.asr_train.augment import Augmenter
from tools.asr_train.store import read_audio, read_manifest

__all__ = ["Clips", "Drawer", "crop", "mix", "read_clips", "read_others", "spoil"]

Features = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Clips:
    """A labelled corpus: features ``[rows, 80]``, class index and published fold of each clip."""

    features: list[Features]
    labels: NDArray[np.int64]
    folds: NDArray[np.int64]
    names: tuple[str, ...]


def read_clips(folder: Path) -> Clips:
    """A folder with manifest.tsv: ``clip_id path duration_s fold label``."""
    with (folder / "manifest.tsv").open(encoding="utf-8", newline="") as source:
        rows = list(csv.DictReader(source, delimiter="\t"))
    names = tuple(sorted({row["label"] for row in rows}))
    features = [log_mel(read_audio(folder / row["path"])) for row in rows]
    labels = np.asarray([names.index(row["label"]) for row in rows])
    return Clips(features, labels, np.asarray([int(row["fold"]) for row in rows]), names)


def read_others(folders: list[Path], limit: int = 200) -> list[Features]:
    """Sound that is none of the classes: speech, kitchens; at most ``limit`` files a folder."""
    found = []
    for folder in folders:
        utterances = list(read_manifest(folder / "manifest.tsv"))
        some = utterances[:: max(1, len(utterances) // limit)]
        found += [log_mel(read_audio(utterance.path)) for utterance in some]
    return found


class Drawer:
    """Batches of clips of ``rows`` frames: every class as often as any other.

    One in five is nothing but other sound; four in ten have other sound or a second event
    behind them; all are shifted in time, and go through channel, room, noise floor and masks.
    """

    def __init__(self, clips: Clips, use: NDArray[np.int64], others: list[Features]) -> None:
        self._clips, self._others = clips, others
        self._of = [use[clips.labels[use] == c] for c in range(len(clips.names))]
        self._augment = Augmenter()

    def batch(
        self, size: int, rows: int, rng: np.random.Generator
    ) -> tuple[Features, NDArray[np.float32]]:
        """``[size, rows, 80]`` and targets ``[size, classes]``."""
        classes = len(self._of)
        x = np.empty((size, rows, NUM_MEL), np.float32)
        y = np.zeros((size, classes), np.float32)
        order = [int(c) for c in rng.permutation(size) % classes]
        for i, c in enumerate(order):
            if rng.random() < 0.2:
                clip = self._other(rows, rng)
            else:
                clip = self._event(c, rows, rng)
                y[i, c] = 1
                chance = rng.random()
                if chance < 0.2:
                    clip = mix(clip, self._other(rows, rng), rng.uniform(3, 25))
                elif chance < 0.4:
                    second = int(rng.integers(classes))
                    clip = mix(clip, self._event(second, rows, rng), rng.uniform(-3, 3))
                    y[i, second] = 1
            x[i] = spoil(self._augment, clip, rng)
        return x, y

    def _event(self, c: int, rows: int, rng: np.random.Generator) -> Features:
        return crop(self._clips.features[int(rng.choice(self._of[c]))], rows, rng, loud=True)

    def _other(self, rows: int, rng: np.random.Generator) -> Features:
        if not self._others or rng.random() < 0.1:
            return np.full((rows, NUM_MEL), LOG_FLOOR, np.float32)
        return crop(self._others[int(rng.integers(len(self._others)))], rows, rng)


def spoil(a: Augmenter, x: Features, rng: np.random.Generator) -> Features:
    """Another voice, room, channel, level and noise floor, and parts masked out."""
    if rng.random() < 0.2:
        x = a.warp(x, float(rng.uniform(0.92, 1.08)))
    if rng.random() < 0.15:
        x = a.reverb(x, rng)
    if rng.random() < 0.5:
        x = x + np.float32(0.5) * a.tilt(rng)  # more, and rain is the sea
    x = x + np.float32(np.log(10) / 10 * rng.uniform(-20, 8))
    x = np.maximum(a.hiss(x, rng, float(rng.uniform(LOG_FLOOR - 2, -11.5))), LOG_FLOOR)
    return a.mask(x, rng, float(rng.uniform(0, 0.7))) if rng.random() < 0.6 else x


def crop(x: Features, rows: int, rng: np.random.Generator, loud: bool = False) -> Features:
    """``rows`` frames of ``x``, repeated if need be; ``loud`` keeps the loudest frame in."""
    if len(x) < rows:
        x = np.tile(x, (-(-rows // len(x)), 1))
    low, high = 0, len(x) - rows
    if loud:
        peak = int(x.mean(axis=1).argmax())
        low, high = max(0, peak - rows + 30), max(0, min(high, peak - 10))
    low = min(low, high)
    begin = int(rng.integers(low, high + 1))
    return x[begin : begin + rows]


def mix(x: Features, behind: Features, decibel: float) -> Features:
    """Add ``behind``, so many dB below."""
    gain = _power(x) - _power(behind) - np.log(10) / 10 * decibel
    return np.logaddexp(x, behind + np.float32(gain))


def _power(x: Features) -> float:
    return float(np.log(np.exp(np.sort(x.mean(axis=1))[len(x) // 2 :]).mean()))
