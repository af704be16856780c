"""How long the people of one session wait: for the first partial, and for the final."""

from __future__ import annotations

from typing import Final, Literal

from streamer.packets import Stamp, Transcript

__all__ = ["LatencyWatch"]

_KEPT: Final = 16
"""Segments that are remembered, so that a second sink does not count again."""

Milestone = Literal["first_partial", "final"]


class LatencyWatch:
    """Reads the latencies off what arrives at the sinks of one session.

    The first partial counts from the capture of the segment's start, the final from the capture
    of the end of its last word, as the recogniser gives them. When a moment was captured is
    reckoned from the stamp, so these are true of live audio, and of a file only if it is paced.
    """

    def __init__(self) -> None:
        self._seen: dict[tuple[int, Milestone], None] = {}

    def arrived(self, value: object, stamp: Stamp, now_ns: int) -> dict[Milestone, float]:
        """The milestones (s) that ``value`` is at a sink at ``now_ns``; none if nothing new."""
        if not isinstance(value, Transcript) or not stamp.captured_ns:
            return {}
        moments: dict[Milestone, float] = {"first_partial": value.start}
        if value.final:
            moments["final"] = value.words[-1].end if value.words else value.end
        found: dict[Milestone, float] = {}
        for milestone, moment in moments.items():
            if (value.segment, milestone) not in self._seen:
                self._seen[value.segment, milestone] = None
                ago = stamp.seconds - moment
                found[milestone] = (now_ns - stamp.captured_ns) / 1e9 + ago
        while len(self._seen) > 2 * _KEPT:
            del self._seen[next(iter(self._seen))]
        return found
