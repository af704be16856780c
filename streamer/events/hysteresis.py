"""From a value that wavers to a start and an end."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Hysteresis"]


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

    def push(self, value: float, begin: float, end: float) -> tuple[str, float] | None:
        """``value`` held from ``begin`` to ``end`` (s): ``("start" | "end", when)`` or None."""
        if self.active:
            self.peak = max(self.peak, value)
        changing = value < self.off if self.active else value >= self.on
        if not changing:
            self._since = None
            if not self.active:
                self.peak = 0.0
            return None
        if self._since is None:
            self._since = begin
        if not self.active:
            self.peak = max(self.peak, value)
        if end - self._since < (self.min_off_s if self.active else self.min_on_s) - 1e-9:
            return None
        when, self._since = self._since, None
        self.active = not self.active
        if self.active:
            self.began = when
            return "start", when
        self.peak = 0.0
        return "end", when

    def close(self, now: float) -> tuple[str, float] | None:
        """The stream ends at ``now``: the end of what is active."""
        when = self._since if self._since is not None else now
        self._since = None
        if not self.active:
            return None
        self.active = False
        return "end", when
