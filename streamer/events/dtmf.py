"""Telephone keys: dual-tone multi-frequency digits (ITU-T Q.23, Q.24).

Blocks of 25.6 ms, half overlapping, are projected on the eight tones and on the second harmonics
of the four low ones (Goertzel's algorithm for all at once). A digit needs both tones, nothing else
of weight beside them, a likely twist, and three blocks in a row; speech that happens to hold two of
the tones fails the tests for weight and harmonics (talk-off).
"""

from __future__ import annotations

import numpy as np

from streamer.audio.samples import clean
from streamer.errors import InputError
from streamer.events.blocks import Blocks
from streamer.packets import AudioEvent, AudioFrame, Samples

__all__ = ["DtmfStream"]

LOW = (697.0, 770.0, 852.0, 941.0)
HIGH = (1209.0, 1336.0, 1477.0, 1633.0)
KEYS = ("123A", "456B", "789C", "*0#D")
BLOCK = 0.0256
LOUD = 1e-5
"""Least power of the two tones together (-50 dBFS)."""
SHARE = 0.64
"""Of the block's power that must lie in the two tones."""
BESIDE = 6.0
"""dB by which a tone must exceed the others of its group."""
TWIST = (-9.0, 5.5)
"""dB by which the high tone may exceed the low one."""
HARMONIC = -10.0
"""dB: the second harmonic of the low tone, at most, beside the tone."""
NEAR = 120.0
"""Hz: a high tone so near to that harmonic hides it."""
IN_A_ROW = 3


class DtmfStream:
    """One stream, mono or mixed down, of any rate from 8000 Hz.

    ``push`` tells digits: ``start`` with the key as label, and ``end``. NaN and infinite samples
    count as 0; a gap ends the digit. Raises ``events.dtmf.rate`` for lower rates.
    """

    def __init__(self) -> None:
        self._rate = 0
        self._blocks = Blocks(1, 1, 1)
        self._reset()

    def _reset(self) -> None:
        self._last = self._digit = ""
        self._row = 0
        """Blocks in a row that held the last key."""
        self._began = 0.0
        self._missing = 0

    def push(self, frame: AudioFrame) -> list[AudioEvent]:
        """Take a frame; the digits that began or ended."""
        events: list[AudioEvent] = []
        if frame.rate != self._rate or frame.start != self._blocks.end:
            events = self.finish()
            self._begin(frame)
        mono = clean(frame.samples)[0].mean(axis=1, keepdims=True, dtype=np.float32)
        for position, block in self._blocks.push(mono):
            events += self._judge(position / self._rate, self._key(block[:, 0]))
        return events

    def finish(self) -> list[AudioEvent]:
        """The stream ends, and with it a digit that sounds."""
        events = []
        if self._digit:
            end = self._blocks.end / self._rate
            events = [AudioEvent("dtmf", self._digit, "end", self._began, end)]
        self._reset()
        return events

    def _begin(self, frame: AudioFrame) -> None:
        if frame.rate < 8000:
            raise InputError(
                f"telephone keys cannot be told at {frame.rate} Hz",
                code="events.dtmf.rate",
                hint="Use a sample rate of at least 8000 Hz.",
            )
        self._rate = frame.rate
        size = round(BLOCK * frame.rate)
        self._blocks = Blocks(size, size // 2, 1, frame.start)
        tones = np.array([*LOW, *HIGH, *(2 * f for f in LOW)])
        phase = 2j * np.pi * np.outer(np.arange(size) / frame.rate, tones)
        window = np.hamming(size)
        self._tones = np.exp(phase) * (window / window.sum())[:, None]
        self._window = window / np.sqrt((window**2).sum())

    def _key(self, block: Samples) -> str:
        """The key that sounds in a block, or nothing."""
        total = float(((block * self._window) ** 2).sum())
        if total < LOUD:
            return ""
        power = 2 * np.abs(block @ self._tones) ** 2 + 1e-20
        low, high, harmonics = power[:4], power[4:8], power[8:]
        i, j = int(low.argmax()), int(high.argmax())
        if low[i] + high[j] < SHARE * total or low[i] + high[j] < LOUD:
            return ""
        twist = 10 * np.log10(high[j] / low[i])
        if not TWIST[0] <= twist <= TWIST[1]:
            return ""
        for group, best in ((low, i), (high, j)):
            others = np.delete(group, best).max()
            if 10 * np.log10(group[best] / others) < BESIDE:
                return ""
        apart = abs(2 * LOW[i] - HIGH[j]) > NEAR
        if apart and 10 * np.log10(harmonics[i] / low[i]) > HARMONIC:
            return ""
        return KEYS[i][j]

    def _judge(self, begin: float, key: str) -> list[AudioEvent]:
        events: list[AudioEvent] = []
        if self._digit and key != self._digit:
            self._missing += 1
            if self._missing == 2:
                events.append(AudioEvent("dtmf", self._digit, "end", self._began, begin))
                self._digit = ""
        else:
            self._missing = 0
        self._row = self._row + 1 if key == self._last else 1
        if key and self._row >= IN_A_ROW and not self._digit:
            self._digit, self._missing = key, 0
            self._began = begin - (IN_A_ROW - 1) * BLOCK / 2
            events.append(AudioEvent("dtmf", key, "start", self._began))
        self._last = key
        return events
