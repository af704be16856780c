"""Augmentation on log-mel features; cheap enough to draw anew for every pass.

Everything is a function of ``[T, 80]`` natural-log power and a random generator. Noise and
reverberation work on powers (what the microphone would add up), speed and vocal-tract
length are resamplings of the time and frequency axes, tilt and level are offsets.
SpecAugment: Park et al. 2019, arXiv:1904.08779; VTLP: Jaitly and Hinton 2013.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from streamer.asr.features import LOG_FLOOR, NUM_MEL

__all__ = ["Augmenter", "Strength"]

Features = NDArray[np.float32]
NEPER_PER_DB: Final = float(np.log(10.0) / 10.0)


@dataclass(frozen=True, slots=True)
class Strength:
    """Probabilities (and for masks: counts) of one stage of the curriculum."""

    speed: float = 0.0
    warp: float = 0.0
    tilt: float = 0.0
    noise: float = 0.0
    reverb: float = 0.0
    mask: float = 0.0
    level: float = 1.0
    snr_low: float = 5.0
    snr_high: float = 30.0


def _mel_edges() -> NDArray[np.float64]:
    """Centre frequencies (Hz) of the 80 Slaney mel bins between 0 and 8000 Hz."""
    top = 15.0 + np.log(8000.0 / 1000.0) / (np.log(6.4) / 27.0)
    mel = np.linspace(0.0, top, NUM_MEL + 2)[1:-1]
    return np.where(
        mel < 15.0, mel * 200.0 / 3.0, 1000.0 * np.exp((mel - 15.0) * np.log(6.4) / 27.0)
    )


class Augmenter:
    """Draws and applies augmentation; ``noise`` returns features of any background recording."""

    def __init__(self, noise: Callable[[np.random.Generator, int], Features] | None = None) -> None:
        self._noise = noise
        self._centres = _mel_edges()
        rng = np.random.default_rng(0)
        table = np.log(rng.gamma(2.5, 1 / 2.5, (20_000, NUM_MEL)) + 1e-4)
        self._ripple = table.astype(np.float32)
        self.moved = False
        """Whether the last copy is stretched or its formants moved: no teacher knows that."""

    def __call__(self, x: Features, s: Strength, rng: np.random.Generator) -> Features:
        """One augmented copy of ``x [T, 80]``, with a random silent tail."""
        self.moved = False
        if rng.random() < s.speed:
            self.moved = True
            x = self.speed(x, float(rng.uniform(0.87, 1.15)))
        if rng.random() < s.warp:
            self.moved = True
            x = self.warp(x, float(rng.uniform(0.87, 1.15)))
        tail = int(rng.integers(5, 45))
        x = np.concatenate([x, np.full((tail, NUM_MEL), LOG_FLOOR, np.float32)])
        if rng.random() < s.reverb:
            x = self.reverb(x, rng)
        if rng.random() < s.tilt:
            x = x + self.tilt(rng)
        if rng.random() < s.level:
            x = x + np.float32(NEPER_PER_DB * rng.uniform(-12.0, 8.0))
        if rng.random() < s.noise:
            x = self.add_noise(x, rng, float(rng.uniform(s.snr_low, s.snr_high)))
        x = self.hiss(x, rng, float(rng.uniform(LOG_FLOOR - 2.0, -9.5)))
        np.maximum(x, LOG_FLOOR, out=x)
        if s.mask > 0:
            x = self.mask(x, rng, s.mask)
        return x

    def speed(self, x: Features, factor: float) -> Features:
        """``factor`` > 1 is faster."""
        count = max(int(len(x) / factor), 8)
        at = np.minimum(np.arange(count) * factor, len(x) - 1.0)
        low = at.astype(np.int64)
        part = (at - low).astype(np.float32)[:, None]
        return x[low] * (1 - part) + x[np.minimum(low + 1, len(x) - 1)] * part

    def warp(self, x: Features, factor: float) -> Features:
        """Move formants by ``factor``; above 6.5 kHz the map bends, the end stays in place."""
        knee = 6500.0 / max(factor, 1.0)
        f = self._centres
        rest = (8000.0 - knee * factor) / (8000.0 - knee)
        source = np.where(f < knee, f * factor, knee * factor + (f - knee) * rest)
        at = np.interp(source, f, np.arange(NUM_MEL))
        low = np.minimum(at.astype(np.int64), NUM_MEL - 2)
        part = (at - low).astype(np.float32)
        return x[:, low] * (1 - part) + x[:, low + 1] * part

    def reverb(self, x: Features, rng: np.random.Generator) -> Features:
        """Exponential decay of each bin's power, RT60 0.15-0.7 s."""
        decay = 10.0 ** (-6.0 / (100.0 * rng.uniform(0.15, 0.7)))
        amount = 10.0 ** (-rng.uniform(0.3, 1.4)) * (1.0 - decay)
        power = np.exp(x.astype(np.float64))
        late = lfilter([0.0, 0.0, amount * decay**2], [1.0, -decay], power, axis=0)
        return np.log(power + late).astype(np.float32)

    def tilt(self, rng: np.random.Generator) -> Features:
        """A channel: slope over the mel axis plus two slow waves, ``[80]``."""
        z = np.linspace(-1.0, 1.0, NUM_MEL)
        curve = rng.normal(0.0, 0.9) * z + rng.normal(0.0, 0.4) * np.cos(
            np.pi * z + rng.uniform(0, 6.3)
        )
        curve += rng.normal(0.0, 0.3) * np.cos(2.5 * np.pi * z + rng.uniform(0, 6.3))
        return curve.astype(np.float32)

    def hiss(self, x: Features, rng: np.random.Generator, level: float) -> Features:
        """Stationary noise floor with a random slope; stands for the recording chain."""
        begin = int(rng.integers(0, len(self._ripple) - 1))
        index = (begin + np.arange(len(x))) % len(self._ripple)
        slope = np.linspace(-1.0, 1.0, NUM_MEL) * rng.normal(0.0, 1.0)
        return np.logaddexp(x, self._ripple[index] + (level + slope).astype(np.float32))

    def add_noise(self, x: Features, rng: np.random.Generator, snr: float) -> Features:
        """Background at ``snr`` dB against the loud part of ``x``; recorded or synthetic."""
        if self._noise is not None and rng.random() < 0.6:
            noise = self._noise(rng, len(x))
        else:
            begin = int(rng.integers(0, len(self._ripple) - 1))
            noise = (
                self._ripple[(begin + np.arange(len(x))) % len(self._ripple)] + self.tilt(rng) * 2
            )
        speech = np.log(np.exp(np.sort(x.mean(axis=1))[len(x) // 2 :]).mean())
        gain = speech - noise.mean() - snr * NEPER_PER_DB
        return np.logaddexp(x, noise + np.float32(gain))

    def mask(self, x: Features, rng: np.random.Generator, amount: float) -> Features:
        """SpecAugment: two frequency masks and time masks, filled with the mean."""
        x = x.copy()
        fill = x.mean()
        for _ in range(2):
            width = int(rng.integers(0, int(1 + 20 * amount)))
            low = int(rng.integers(0, NUM_MEL - width))
            x[:, low : low + width] = fill
        for _ in range(int(len(x) / 150 * amount) + 1):
            width = int(rng.integers(0, int(2 + 24 * amount)))
            low = int(rng.integers(0, max(len(x) - width, 1)))
            x[low : low + width] = fill
        return x
