"""Sessions and utterances as OpenTelemetry spans. Needs the extra ``streamer[otel]``.

One span a session, one an utterance in it, with a child for each edge and node that took part: a
span costs about 13 us, too much for every 10 ms of audio. What was said is not in them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Final

import numpy as np
from opentelemetry.trace import Span, Status, StatusCode, Tracer, set_span_in_context

from streamer.packets import Stamp, Transcript
from streamer.trace.latency import LatencyWatch
from streamer.trace.recorder import AGE, BLOCKED, WAIT, WORK, Recorder

__all__ = ["SessionSpans", "UtteranceSpans"]

_SETTLE: Final = 0.5
"""Seconds after a final in which the other sinks of a graph should have it too."""

_NAMES = {WAIT: "wait", WORK: "work", BLOCKED: "blocked"}


class UtteranceSpans:
    """Exports what ``recorder`` saw of an utterance through ``tracer``.

    The recorder must be of one session (:meth:`Recorder.child`), since media times of sessions
    overlap. ``offset_ns`` leads from the loop's clock to the time of day. The utterances are
    children of ``parent``, if there is one.
    """

    def __init__(
        self,
        tracer: Tracer,
        recorder: Recorder,
        *,
        offset_ns: int | None = None,
        parent: Span | None = None,
    ) -> None:
        self._tracer = tracer
        self._recorder = recorder
        self._context = None if parent is None else set_span_in_context(parent)
        self._offset = time.time_ns() - time.monotonic_ns() if offset_ns is None else offset_ns

    def export(
        self,
        start: float,
        until: float,
        attributes: Mapping[str, str | int | float | bool] | None = None,
    ) -> int:
        """Export the utterance; returns the number of spans, 0 if the ring has forgotten it.

        ``start``: media seconds where it begins. ``until``: the media time of the stamp that its
        final carries. The children cover from the first packet to the last; how much of that was
        work or waiting is in ``streamer.total_ms`` and ``streamer.longest_ms``.
        """
        rows = self._recorder.rows()
        rows = rows[(rows[:, 4] > start * 1e6) & (rows[:, 4] <= until * 1e6 + 1)]
        stages = rows[rows[:, 0] != AGE]
        if not len(stages):
            return 0
        parent = self._tracer.start_span(
            "utterance",
            context=self._context,
            start_time=int(stages[:, 2].min()) + self._offset,
            attributes={"streamer.start_s": start, "streamer.until_s": until}
            | dict(attributes or {}),
        )
        ages = rows[rows[:, 0] == AGE]
        if len(ages):
            newest = ages[ages[:, 3].argmax()]
            parent.set_attribute("streamer.age_ms", float(newest[3] - newest[2]) / 1e6)
        context = set_span_in_context(parent)
        order = np.lexsort((stages[:, 0], stages[:, 1]))
        stages = stages[order]
        firsts = np.flatnonzero(np.diff(stages[:, :2], axis=0, prepend=-1).any(axis=1))
        for part in np.split(stages, firsts[1:]):
            lengths = part[:, 3] - part[:, 2]
            child = self._tracer.start_span(
                f"{_NAMES[int(part[0, 0])]} {self._recorder.tracks[part[0, 1]].name}",
                context=context,
                start_time=int(part[:, 2].min()) + self._offset,
                attributes={
                    "streamer.packets": len(part),
                    "streamer.total_ms": float(lengths.sum()) / 1e6,
                    "streamer.longest_ms": float(lengths.max()) / 1e6,
                },
            )
            child.end(int(part[:, 3].max()) + self._offset)
        parent.end(int(stages[:, 3].max()) + self._offset)
        return 1 + len(firsts)


class SessionSpans:
    """The span of one session of a graph, from now to :meth:`end`, and those of its utterances.

    Give :meth:`arrived` what arrives at the sinks, on the session's event loop.
    """

    def __init__(self, tracer: Tracer, recorder: Recorder, graph: str, session: str = "") -> None:
        self._span = tracer.start_span(
            "session", attributes={"streamer.graph": graph, "streamer.session": session}
        )
        self._spans = UtteranceSpans(tracer, recorder, parent=self._span)
        self._watch = LatencyWatch()
        self._first: dict[int, float] = {}
        self._waiting: dict[int, tuple[Transcript, Stamp, dict[str, float], asyncio.Handle]] = {}

    def arrived(self, value: object, stamp: Stamp) -> None:
        """A sink has worked on ``value``; an utterance is exported soon after its final."""
        loop = asyncio.get_running_loop()
        found = self._watch.arrived(value, stamp, int(loop.time() * 1e9))
        if not isinstance(value, Transcript):
            return
        if "first_partial" in found:
            self._first[value.segment] = found["first_partial"]
        if "final" in found:
            times = {"streamer.final_ms": found["final"] * 1000}
            if value.segment in self._first:
                times["streamer.first_partial_ms"] = self._first.pop(value.segment) * 1000
            handle = loop.call_later(_SETTLE, self._export, value.segment)
            self._waiting[value.segment] = (value, stamp, times, handle)

    def end(self, error: BaseException | None = None, **attributes: str | float) -> None:
        """The session is over; ``attributes`` are those of its span."""
        for segment in list(self._waiting):
            self._export(segment)
        self._span.set_attributes({f"streamer.{key}": v for key, v in attributes.items()})
        if error is not None:
            self._span.set_status(Status(StatusCode.ERROR, str(error)))
        self._span.end()

    def _export(self, segment: int) -> None:
        final, stamp, times, handle = self._waiting.pop(segment)
        handle.cancel()
        facts = times | {"streamer.segment": segment, "streamer.words": len(final.words)}
        self._spans.export(final.start, stamp.seconds, facts)
