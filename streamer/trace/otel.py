"""Utterances as OpenTelemetry spans. Needs the extra ``streamer[otel]``.

One span an utterance, with a child for each edge and node that took part: a span costs about
13 us, too much for every 10 ms of audio.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from opentelemetry.trace import Tracer, set_span_in_context

from streamer.trace.recorder import AGE, BLOCKED, WAIT, WORK, Recorder

__all__ = ["UtteranceSpans"]

_NAMES = {WAIT: "wait", WORK: "work", BLOCKED: "blocked"}


class UtteranceSpans:
    """Exports what ``recorder`` saw of an utterance through ``tracer``.

    The recorder must be of one session (:meth:`Recorder.child`), since media times of sessions
    overlap. ``offset_ns`` leads from the loop's clock to the time of day.
    """

    def __init__(self, tracer: Tracer, recorder: Recorder, *, offset_ns: int | None = None) -> None:
        self._tracer = tracer
        self._recorder = recorder
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
            start_time=int(stages[:, 2].min()) + self._offset,
            attributes={"streamer.start_s": start, "streamer.until_s": until}
            | dict(attributes or {}),
        )
        ages = rows[rows[:, 0] == AGE]
        if len(ages):
            newest = ages[ages[:, 3].argmax()]
            parent.set_attribute("streamer.age_ms", float(newest[3] - newest[2]) / 1e6)
        count = 1
        for track in self._recorder.tracks:
            for kind, name in _NAMES.items():
                part = stages[(stages[:, 1] == track.index) & (stages[:, 0] == kind)]
                if not len(part):
                    continue
                lengths = part[:, 3] - part[:, 2]
                child = self._tracer.start_span(
                    f"{name} {track.name}",
                    context=set_span_in_context(parent),
                    start_time=int(part[:, 2].min()) + self._offset,
                    attributes={
                        "streamer.packets": len(part),
                        "streamer.total_ms": float(lengths.sum()) / 1e6,
                        "streamer.longest_ms": float(lengths.max()) / 1e6,
                    },
                )
                child.end(int(part[:, 3].max()) + self._offset)
                count += 1
        parent.end(int(stages[:, 3].max()) + self._offset)
        return count
