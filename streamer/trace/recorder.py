"""Where time went: one recorder per run, cheap enough to stay on.

Every hop writes one row into a ring buffer of plain integers and counts into histograms:
waiting on an edge and working in a node are told apart, and at each sink the age of what
arrived (now minus capture) is kept.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from streamer.trace.histogram import Histogram

__all__ = ["AGE", "BLOCKED", "WAIT", "WORK", "Recorder", "Span", "Track"]

WAIT: Final = 0
"""A packet waited on an edge."""
WORK: Final = 1
"""A node worked on a packet."""
BLOCKED: Final = 2
"""A node waited for room on an edge it writes to."""
AGE: Final = 3
"""From capture to the end of the sink's work."""

_FIELDS = 5


class Span(NamedTuple):
    """One row of the ring: what happened on ``track`` between two times (ns, loop clock)."""

    kind: int
    track: int
    begin: int
    end: int
    position: int
    """Media time in microseconds."""


class Track:
    """The histograms of one edge or node."""

    __slots__ = ("histograms", "index", "name")

    def __init__(self, name: str, index: int) -> None:
        self.name = name
        self.index = index
        self.histograms = (Histogram(), Histogram(), Histogram(), Histogram())


class Recorder:
    """Histograms for the whole run and the last ``capacity`` spans."""

    def __init__(self, capacity: int = 65536) -> None:
        self.capacity = capacity
        self.written = 0
        self.tracks: list[Track] = []
        self._ring = array("q", bytes(8 * _FIELDS * capacity))

    def track(self, name: str) -> Track:
        """The track of that name, made at the first call."""
        for track in self.tracks:
            if track.name == name:
                return track
        track = Track(name, len(self.tracks))
        self.tracks.append(track)
        return track

    def add(self, kind: int, track: Track, begin: int, end: int, seconds: float) -> None:
        """Record ``begin``..``end`` (ns) of ``kind`` for a packet at media time ``seconds``."""
        track.histograms[kind].record(end - begin)
        self._write(kind, track, begin, end, seconds)

    def _write(self, kind: int, track: Track, begin: int, end: int, seconds: float) -> None:
        ring, at = self._ring, (self.written % self.capacity) * _FIELDS
        ring[at] = kind
        ring[at + 1] = track.index
        ring[at + 2] = begin
        ring[at + 3] = end
        ring[at + 4] = int(seconds * 1e6)
        self.written += 1

    def child(self, capacity: int = 8192) -> Recorder:
        """A recorder for one session of many: it adds to this one and keeps spans of its own."""
        return _Child(self, capacity)

    def rows(self) -> npt.NDArray[np.int64]:
        """The spans still in the ring as int64 ``[n, 5]``, in no order; columns as in `Span`."""
        count = min(self.written, self.capacity)
        return np.frombuffer(self._ring, np.int64)[: count * _FIELDS].reshape(-1, _FIELDS).copy()

    def spans(self) -> Iterator[Span]:
        """The spans still in the ring, oldest first."""
        first = max(0, self.written - self.capacity)
        for number in range(first, self.written):
            at = (number % self.capacity) * _FIELDS
            yield Span(*self._ring[at : at + _FIELDS])


class _Child(Recorder):
    def __init__(self, parent: Recorder, capacity: int) -> None:
        super().__init__(capacity)
        self.tracks = parent.tracks
        self._parent = parent

    def add(self, kind: int, track: Track, begin: int, end: int, seconds: float) -> None:
        self._parent.add(kind, track, begin, end, seconds)
        self._write(kind, track, begin, end, seconds)
