"""Moonshine for many sessions: as many decodings at a time as there are cores, finals first."""

from __future__ import annotations

import os

from streamer.asr.moonshine import Moonshine
from streamer.batching import EngineStats, Turn, Turns

__all__ = ["SharedMoonshine"]


class SharedMoonshine:
    """``model`` and the turns of those who use it.

    :meth:`final` goes before :meth:`partial`, the first partial of a segment before later ones.
    One worker is for finals alone, if there is another.
    """

    def __init__(self, model: Moonshine, workers: int | None = None) -> None:
        self.model = model
        self.workers = workers or _cores()
        spare = min(1, self.workers - 1)
        lanes = ("final", "first", "partial")
        self._turns = Turns(self.workers, lanes, name="moonshine", spare=spare)

    @property
    def stats(self) -> list[EngineStats]:
        """Waiting and work, of finals and of partials."""
        return self._turns.stats

    def final(self) -> Turn:
        """A turn for what somebody waits for."""
        return self._turns.turn("final")

    def partial(self, first: bool) -> Turn:
        """A turn for what may come later or not at all; ``first`` of its segment."""
        return self._turns.turn("first" if first else "partial")

    async def aclose(self) -> None:
        """Wait for the decodings under way and end the threads."""
        await self._turns.aclose()


def _cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
