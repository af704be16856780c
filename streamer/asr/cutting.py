"""Where to cut speech that goes on without a pause."""

from __future__ import annotations

import numpy as np

from streamer.packets import Samples

__all__ = ["quietest"]

FRAME = 160
SMOOTH = 12
"""10 ms frames over which energy is averaged: longer than a stop consonant's closure."""


def quietest(samples: Samples, begin: int, end: int) -> int:
    """The index in ``begin``..``end`` around which speech (16 kHz) is quietest.

    The middle of the quietest 120 ms: between words, seldom inside one.
    """
    window = samples[begin:end]
    count = window.shape[0] // FRAME
    if count <= SMOOTH:
        return (begin + end) // 2
    energy = np.square(window[: count * FRAME].reshape(count, FRAME)).mean(axis=1)
    level = np.convolve(energy, np.ones(SMOOTH) / SMOOTH, mode="valid")
    return begin + int(level.argmin() + SMOOTH / 2) * FRAME
