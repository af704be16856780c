"""The recent past of an audio stream, addressed by media time."""

from __future__ import annotations

from collections import deque

import numpy as np

from streamer.packets import AudioFrame, Samples, Stamp

__all__ = ["AudioRing"]


class AudioRing:
    """Mono audio by absolute sample index; gaps read as silence, so times stay true.

    Keeps what is needed since :meth:`forget` was last told, and remembers the stamp with which
    each moment arrived.
    """

    def __init__(self) -> None:
        self.begin = 0
        """Index of the oldest sample kept."""
        self.end = 0
        """Index one past the newest sample."""
        self._frames: deque[tuple[int, Samples, Stamp]] = deque()

    def push(self, frame: AudioFrame, stamp: Stamp) -> None:
        """Add a frame; what overlaps the past is ignored."""
        samples = np.nan_to_num(frame.samples[:, 0], copy=False)
        start = frame.start
        if not self._frames:
            self.begin = self.end = max(self.end, start) if self.end else start
        if start < self.end:
            samples = samples[self.end - start :]
            start = self.end
        if samples.shape[0]:
            self._frames.append((start, samples, stamp))
            self.end = start + samples.shape[0]

    def read(self, begin: int, end: int) -> Samples:
        """Samples ``begin`` to ``end`` (exclusive); what is not there is silence."""
        out = np.zeros(max(0, end - begin), np.float32)
        for start, samples, _ in self._frames:
            left, right = max(begin, start), min(end, start + samples.shape[0])
            if left < right:
                out[left - begin : right - begin] = samples[left - start : right - start]
        return out

    def stamp_at(self, end: int) -> Stamp | None:
        """The stamp of the frame in which sample ``end - 1`` arrived, or the newest before it."""
        found: Stamp | None = None
        for start, _, stamp in self._frames:
            if start >= end:
                break
            found = stamp
        return found

    def forget(self, before: int) -> None:
        """Drop whole frames that end before index ``before``."""
        while self._frames and self._frames[0][0] + self._frames[0][1].shape[0] <= before:
            self._frames.popleft()
        self.begin = self._frames[0][0] if self._frames else self.end
