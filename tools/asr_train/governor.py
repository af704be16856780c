"""Gives way to other programs: one thread while they are busy, all threads otherwise.

Two threads that meet at a barrier after every operation wait for each other whenever
another program holds one of the cores: measured here, a third of both cores gave 10-20
seconds of audio a second with two threads and 60 with one.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import torch

__all__ = ["Governor"]


class Governor:
    """Call :meth:`update` once a step; it looks every ``period`` seconds. Linux; elsewhere idle."""

    def __init__(self, threads: int, period: float = 4.0, stat: Path = Path("/proc/stat")) -> None:
        self.threads = threads
        self._all = threads
        self._period, self._stat = period, stat
        self._tick = os.sysconf("SC_CLK_TCK") if stat.exists() else 0
        self._last = self._read()

    def _read(self) -> tuple[float, float, float]:
        """Wall seconds, busy seconds of all cores, busy seconds of this process."""
        if not self._tick:
            return time.monotonic(), 0.0, 0.0
        fields = [int(f) for f in self._stat.read_text().split("\n", 1)[0].split()[1:9]]
        busy = (sum(fields) - fields[3] - fields[4]) / self._tick
        own = os.times()
        return time.monotonic(), busy, own.user + own.system

    def update(self) -> int:
        """Set torch's threads by what others used since the last look; returns the number."""
        now = self._read()
        wall = now[0] - self._last[0]
        if wall < self._period or not self._tick:
            return self.threads
        others = (now[1] - self._last[1] - (now[2] - self._last[2])) / wall
        self._last = now
        cores = os.cpu_count() or 1
        wanted = self._all if others < 0.4 else max(1, min(self._all, round(cores - others)))
        if wanted != self.threads:
            self.threads = wanted
            torch.set_num_threads(wanted)
        return self.threads
