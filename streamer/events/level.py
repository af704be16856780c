"""What is wrong with the level: too loud, silent, dead, clipped.

The stream is judged in blocks of 100 ms. Loudness is that of ITU-R BS.1770-5 (K-weighted mean
square over 400 ms, LUFS): the weighting is applied to the power spectrum of each block, which
needs no filter state. A full-scale sine of 997 Hz on one channel reads -3.01.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamer.audio.samples import clean
from streamer.events.blocks import Blocks
from streamer.events.hysteresis import Change, Hysteresis
from streamer.packets import AudioEvent, AudioFrame, Samples

__all__ = ["LevelRules", "LevelStream", "is_clipped", "k_weights"]

BLOCK = 0.1
MOMENTARY = 4
"""Blocks that make up the loudness of the moment."""
FLOOR = -120.0
"""LUFS of digital silence."""
LSB = 1 / 32768
RUN = 3
"""Samples in a row that make a flat top."""
FLAT = 0.72
"""Share of the topmost samples that lie in the flat top itself; a sine has 0.45."""


@dataclass(frozen=True, slots=True)
class LevelRules:
    """Loudness in LUFS, times in seconds."""

    loud: float = -9.0
    """Louder than this (over 400 ms) is ``loud``."""
    silence: float = -60.0
    """Softer than this is ``silence`` ..."""
    silence_after: float = 5.0
    """... once it has lasted so long."""
    margin: float = 3.0
    """dB by which the loudness must come back for either to end."""
    dead_after: float = 1.0
    """How long all samples must be the same until the source is ``dead``."""
    hold: float = 0.5
    """Clipping and loudness that pause for less are one event."""


class LevelStream:
    """One stream of any rate and number of channels; memory stays flat.

    ``push`` tells what began or ended: ``clipping``, ``loud``, ``silence``, ``dead``. NaN and
    infinite samples count as 0. After a gap, or with another format, everything begins anew and
    what lasted ends where the sound ended.
    """

    def __init__(self, rules: LevelRules | None = None) -> None:
        self._rules = rules or LevelRules()
        self._format: tuple[int, int] | None = None
        self._blocks = Blocks(1, 1, 1)
        self.loudness = FLOOR
        """LUFS of the last 400 ms."""

    def push(self, frame: AudioFrame) -> list[AudioEvent]:
        """Take a frame; what began or ended by it."""
        events: list[AudioEvent] = []
        if (frame.rate, frame.channels) != self._format or frame.start != self._blocks.end:
            events = self.finish()
            self._begin(frame)
        for position, block in self._blocks.push(clean(frame.samples)[0]):
            events += self._judge(position, block)
        return events

    def finish(self) -> list[AudioEvent]:
        """The stream ends: judge what is left of the last block, end what lasts."""
        if self._format is None:
            return []
        rest = self._blocks.rest()
        events = list(self._judge(self._blocks.position, rest)) if len(rest) else []
        for label, state in self._states.items():
            events += _events(label, state.close(self._blocks.end / self._rate))
        self._format = None
        return events

    def _begin(self, frame: AudioFrame) -> None:
        self._format, self._rate = (frame.rate, frame.channels), frame.rate
        self._size = size = max(1, round(BLOCK * frame.rate))
        self._blocks = Blocks(size, size, frame.channels, frame.start)
        self._weights = k_weights(size, frame.rate)
        self._recent: deque[float] = deque(maxlen=MOMENTARY)
        r = self._rules
        self._states = {
            "clipping": Hysteresis(1.0, 1.0, 0.0, r.hold),
            "loud": Hysteresis(r.loud, r.loud - r.margin, 0.0, r.hold),
            "silence": Hysteresis(-r.silence, -r.silence - r.margin, r.silence_after, 0.0),
            "dead": Hysteresis(1.0, 1.0, r.dead_after, 0.0),
        }

    def _judge(self, position: int, block: Samples) -> Iterator[AudioEvent]:
        begin, end = position / self._rate, (position + len(block)) / self._rate
        whole = len(block) == self._size
        weights = self._weights if whole else k_weights(len(block), self._rate)
        power = mean_square(block, weights)
        self._recent.append(power)
        self.loudness = lufs(sum(self._recent) / len(self._recent))
        values = {
            "clipping": float(any(is_clipped(channel) for channel in block.T)),
            "loud": self.loudness,
            "silence": -lufs(power),
            "dead": float(bool((block == block[0]).all())),
        }
        for label, state in self._states.items():
            yield from _events(label, state.push(values[label], begin, end))


def _events(label: str, change: Change | None) -> list[AudioEvent]:
    if change is None:
        return []
    return [AudioEvent("level", label, change.state, change.start, change.end)]


def lufs(power: float) -> float:
    """Loudness of a K-weighted mean square."""
    return max(FLOOR, -0.691 + 10 * float(np.log10(max(power, 1e-30))))


def mean_square(block: Samples, weights: NDArray[np.float64]) -> float:
    """K-weighted mean square of ``[n, channels]``, summed over the channels."""
    spectrum = np.abs(np.fft.rfft(block.astype(np.float64), axis=0)) ** 2
    return float((spectrum.sum(axis=1) * weights).sum()) / len(block) ** 2


def k_weights(size: int, rate: int) -> NDArray[np.float64]:
    """Weight ``[size // 2 + 1]`` of each bin's power: BS.1770's two filters, both sides counted.

    The filters' analogue prototypes are used, so that any rate will do.
    """
    f = np.fft.rfftfreq(size, 1 / rate)
    s = 1j * f
    f1, q1, gain = 1681.974450955533, 0.7071752369554196, 3.999843853973347
    high, band = 10 ** (gain / 20), 10 ** (gain / 20 * 0.4996667741545416)
    shelf = (high * s**2 + band * f1 / q1 * s + f1**2) / (s**2 + f1 / q1 * s + f1**2)
    f2, q2 = 38.13547087602444, 0.5003270373238773
    rumble = s**2 / (s**2 + f2 / q2 * s + f2**2)
    both = np.full(len(f), 2.0)
    both[0] = 1.0
    if size % 2 == 0:
        both[-1] = 1.0
    weights: NDArray[np.float64] = both * np.abs(shelf * rumble) ** 2
    return weights


def is_clipped(x: NDArray[np.float32]) -> bool:
    """Whether the samples ``[n]`` have flat tops, at full scale or below.

    In a top cut flat most of the samples near the extreme lie at the extreme itself, three or more
    in a row; in a round top (a sine) less than half do. The steps of coarse samples (8 bit, G.711)
    are taken into account. A square wave is a flat top; what was clipped before a resampler or a
    lossy codec has no flat tops any more, unless it was driven hard.
    """
    return _flat_top(x) or _flat_top(-x)


def _flat_top(x: NDArray[np.float32]) -> bool:
    top = float(x.max())
    if top < 0.05 or len(x) < 2 * RUN:
        return False
    # quick: without two neighbours at the top there is no flat top
    near = x > top - max(1.5 * LSB, 0.001 * top)
    if not (near[:-2] & near[1:-1] & near[2:]).any():
        return False
    levels = np.unique(x[x > 0.5 * top])
    step = float(np.median(np.diff(levels))) if len(levels) > 2 else 0.0
    if step > top / 24 and len(levels) > 8:
        return False  # too coarse to tell
    unit = max(LSB, 0.0003 * top, step)
    flat = x > top - 0.75 * unit
    if not (flat[:-2] & flat[1:-1] & flat[2:]).any():
        return False
    count = np.count_nonzero(flat)
    if count < FLAT * np.count_nonzero(x > top - 3.75 * unit) or count > 0.9 * len(x):
        return False
    return bool(count >= 2 * RUN or top >= 1 - 2 * LSB)
