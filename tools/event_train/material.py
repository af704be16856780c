"""Speech, music and other sound, divided into what trains and what tests."""

from __future__ import annotations

import csv
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streamer.audio.decode import decode
from streamer.audio.resample import Resampler
from streamer.errors import InputError

__all__ = ["RATE", "audio16", "music_pieces", "noises", "other_pieces", "speech_pieces"]

RATE = 16000
Samples = NDArray[np.float32]
HELD_OUT_FOLDS = ("4", "5")
SPEECH = {
    True: ("librispeech-train", "librispeech-train-untranscribed", "speechocean762-train",
           "barista-untranscribed"),
    False: ("librispeech-train-untranscribed", "librispeech-other-dev", "speechocean762-dev",
            "librivox-dev"),
}  # fmt: skip
MUSIC_FILES = (".ogg", ".oga", ".opus", ".mp3", ".flac")


def audio16(path: Path, begin: float = 0.0, seconds: float = 1e9) -> Samples:
    """Part of a file, 16 kHz mono ``[n]``."""
    frames = []
    for frame in decode(path, chunk=0.5):
        if frame.end / frame.rate > begin:
            frames.append(frame)
        if frame.end / frame.rate > begin + seconds:
            break
    if not frames:
        return np.zeros(0, np.float32)
    resampler = Resampler(RATE)
    out = [done for frame in frames for done in resampler.process(frame)] + resampler.flush()
    return np.concatenate([done.samples[:, 0] for done in out])


def _rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "manifest.tsv").open(encoding="utf-8", newline="") as source:
        return list(csv.DictReader(source, delimiter="\t"))


def speech_pieces(corpus: Path, train: bool, limit: int) -> Iterator[Samples]:
    """Utterances, ``limit`` a folder at most; no speaker is on both sides."""
    for name in SPEECH[train]:
        rows = _rows(corpus / name)
        if name == "librispeech-train-untranscribed":
            rows = [r for r in rows if (zlib.crc32(r["speaker"].encode()) % 5 > 0) == train]
        for row in rows[:: max(1, len(rows) // limit)][:limit]:
            yield audio16(corpus / name / row["path"])


def music_pieces(folder: Path, packages: Sequence[str], seconds: float) -> Iterator[Samples]:
    """``seconds`` from near the beginning of every file of the packages."""
    for package in packages:
        for path in sorted((folder / package).iterdir()):
            if path.suffix.lower() in MUSIC_FILES:
                try:
                    yield audio16(path, 8.0, seconds)
                except InputError as error:
                    print(error)


def other_pieces(corpus: Path, train: bool) -> Iterator[Samples]:
    """ESC-10 without its silence; folds 4 and 5 and the kitchen test."""
    for row in _rows(corpus / "esc10"):
        if (row["fold"] not in HELD_OUT_FOLDS) == train:
            yield audio16(corpus / "esc10" / row["path"])
    if not train:
        yield audio16(corpus / "kitchen-noise" / "kitchen.opus")


def noises(rng: np.random.Generator, count: int, seconds: float = 10.0) -> Iterator[Samples]:
    """Coloured noise and hum, made up."""
    size = int(seconds * RATE)
    t = np.arange(size) / RATE
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
