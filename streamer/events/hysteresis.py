"""From a value that wavers to a start and an end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

__all__ = ["Change", "Hysteresis"]


@dataclass(frozen=True, slots=True)
class Change:
    """Something began or ended; times in seconds of media."""

    state: Literal["start", "end"]
    start: float
    end: float | None
    """None while it lasts."""
    peak: float
    """Highest value so far."""


@dataclass(slots=True)
class Hysteresis:
    """Starts when the value has been at ``on`` or above for ``min_on_s`` seconds, ends when it has

    been below ``off`` for ``min_off_s`` seconds. Start and end are told as the moments when the
    value crossed, so both lie in the past by the time they are known.
    """

    on: float
    off: float
    min_on_s: float = 0.0
    min_off_s: float = 0.0
    active: bool = False
    began: float = 0.0
    """Media time (s) at which the active state began."""
    peak: float = 0.0
    """Highest value since then."""
    _since: float | None = field(default=None, repr=False)

    def push(self, value: float, begin: float, end: float) -> Change | None:
        """``value`` held from ``begin`` to ``end`` (s): what began or ended by it."""
        changing = value < self.off if self.active else value >= self.on
        if self.active or changing:
            self.peak = max(self.peak, value)
        if not changing:
            self._since = None
            if not self.active:
                self.peak = 0.0
            return None
        if self._since is None:
            self._since = begin
        if end - self._since < (self.min_off_s if self.active else self.min_on_s) - 1e-9:
            return None
        if self.active:
            return self._end(self._since)
        self.active, self.began, self._since = True, self._since, None
        return Change("start", self.began, None, self.peak)

    def close(self, now: float) -> Change | None:
        """The stream ends at ``now``: the end of what is active."""
        when = self._since if self._since is not None else now
        self._since = None
        return self._end(when) if self.active else None

    def _end(self, when: float) -> Change:
        change = Change("end", self.began, when, self.peak)
        self.active, self.peak, self._since = False, 0.0, None
        return change
