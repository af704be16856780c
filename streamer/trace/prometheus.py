"""The recorder and the edges as Prometheus metrics.

Text format: https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, Protocol

import numpy as np
import prometheus_client as prometheus
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from streamer.trace.histogram import Histogram, upper_edges
from streamer.trace.recorder import AGE, BLOCKED, WAIT, WORK, Recorder

__all__ = ["CONTENT_TYPE", "LATENCY_BUCKETS", "EdgeStats", "Metrics", "cumulative"]

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

LATENCY_BUCKETS: Final = tuple(
    float(f"{digit}e{power}") for power in range(-4, 2) for digit in (1, 2, 5)
)
"""Upper bounds in seconds: 0.1 ms, 0.2 ms, 0.5 ms, ... 50 s."""

_EDGES: Final = np.array(upper_edges(), np.float64)

_TIMES: Final = (
    (WAIT, "streamer_edge_wait_seconds", "How long packets waited on the edge.", "edge"),
    (BLOCKED, "streamer_edge_blocked_seconds", "How long senders waited for room.", "edge"),
    (WORK, "streamer_node_work_seconds", "How long the node worked on a packet.", "node"),
    (AGE, "streamer_sink_age_seconds", "From capture to the end of the sink's work.", "node"),
)
_COUNTERS: Final = {
    "accepted": "Packets taken in.",
    "dropped": "Packets dropped because the edge was full.",
    "dropped_seconds": "Seconds of media dropped because the edge was full.",
    "coalesced": "Packets replaced by a newer one.",
    "stale": "Packets dropped because an interruption made them stale.",
    "discarded": "Packets that came when the reader had gone.",
}
_GAUGES: Final = {
    "depth": "Packets waiting now, of all sessions.",
    "media": "Seconds of media waiting now, of all sessions.",
    "oldest": "Seconds the packet that waits longest has waited.",
    "senders_waiting": "Senders that wait for room now.",
}


class EdgeStats(Protocol):
    """What is read of an edge; :class:`streamer.graph.ChannelStats` has it."""

    @property
    def name(self) -> str: ...
    @property
    def depth(self) -> int: ...
    @property
    def media(self) -> float: ...
    @property
    def oldest(self) -> float: ...
    @property
    def accepted(self) -> int: ...
    @property
    def dropped(self) -> int: ...
    @property
    def dropped_seconds(self) -> float: ...
    @property
    def coalesced(self) -> int: ...
    @property
    def stale(self) -> int: ...
    @property
    def discarded(self) -> int: ...
    @property
    def senders_waiting(self) -> int: ...


class Metrics:
    """A registry of metrics, rendered when asked for.

    ``recorder`` and ``edges`` (called at each rendering; the edges of all running sessions) are
    shown by edge and node. Call :meth:`retire` with the edges of a session that ended, so that
    its counts stay in the totals. Further metrics are made with :meth:`counter`, :meth:`gauge`
    and :meth:`histogram`; they are those of ``prometheus_client``.
    """

    def __init__(
        self, recorder: Recorder, edges: Callable[[], Iterable[EdgeStats]] = lambda: ()
    ) -> None:
        self.registry = prometheus.CollectorRegistry(auto_describe=False)
        self._flow = _Flow(recorder, edges)
        self.registry.register(self._flow)

    def counter(self, name: str, help: str, labels: Sequence[str] = ()) -> prometheus.Counter:
        """A count that only rises; its name is given the ending ``_total``."""
        return prometheus.Counter(name, help, labels, registry=self.registry)

    def count(self, name: str, help: str, read: Callable[[], float]) -> None:
        """A count that is kept elsewhere; ``read`` gives it at each rendering."""
        self.registry.register(_Count(name, help, read))

    def gauge(self, name: str, help: str, labels: Sequence[str] = ()) -> prometheus.Gauge:
        """A value that rises and falls; ``set_function`` reads it at each rendering."""
        return prometheus.Gauge(name, help, labels, registry=self.registry)

    def histogram(
        self,
        name: str,
        help: str,
        labels: Sequence[str] = (),
        buckets: Sequence[float] = LATENCY_BUCKETS,
    ) -> prometheus.Histogram:
        """A distribution; ``buckets`` are upper bounds."""
        return prometheus.Histogram(name, help, labels, buckets=buckets, registry=self.registry)

    def retire(self, edges: Iterable[EdgeStats]) -> None:
        """Keep the counts of edges that ``edges`` will not show any more."""
        self._flow.retire(edges)

    def render(self) -> bytes:
        """The text for ``/metrics``, of :data:`CONTENT_TYPE`."""
        return prometheus.generate_latest(self.registry)


class _Count(Collector):
    def __init__(self, name: str, help: str, read: Callable[[], float]) -> None:
        self._name, self._help, self._read = name, help, read

    def collect(self) -> Iterator[Metric]:
        yield CounterMetricFamily(self._name, self._help, value=self._read())


class _Flow(Collector):
    def __init__(self, recorder: Recorder, edges: Callable[[], Iterable[EdgeStats]]) -> None:
        self._recorder = recorder
        self._edges = edges
        self._retired: dict[str, dict[str, float]] = defaultdict(_zeros)

    def retire(self, edges: Iterable[EdgeStats]) -> None:
        for edge in edges:
            _add(self._retired[edge.name], edge)

    def collect(self) -> Iterator[Metric]:
        yield from self._times()
        yield from self._counts()

    def _times(self) -> Iterator[Metric]:
        for kind, name, text, label in _TIMES:
            family = HistogramMetricFamily(name, text, labels=[label])
            for track in self._recorder.tracks:
                histogram = track.histograms[kind]
                if histogram.count:
                    family.add_metric(
                        [track.name], cumulative(histogram, LATENCY_BUCKETS), histogram.total / 1e9
                    )
            yield family

    def _counts(self) -> Iterator[Metric]:
        totals = defaultdict(_zeros, {name: dict(c) for name, c in self._retired.items()})
        now: dict[str, dict[str, float]] = defaultdict(lambda: dict.fromkeys(_GAUGES, 0.0))
        for edge in self._edges():
            _add(totals[edge.name], edge)
            gauges = now[edge.name]
            for key in ("depth", "media", "senders_waiting"):
                gauges[key] += getattr(edge, key)
            gauges["oldest"] = max(gauges["oldest"], edge.oldest)
        for key, text in _COUNTERS.items():
            counter = CounterMetricFamily(f"streamer_edge_{key}", text, labels=["edge"])
            for name, counts in totals.items():
                counter.add_metric([name], counts[key])
            yield counter
        for key, text in _GAUGES.items():
            unit = "_seconds" if key in ("media", "oldest") else ""
            gauge = GaugeMetricFamily(f"streamer_edge_{key}{unit}", text, labels=["edge"])
            for name, values in now.items():
                gauge.add_metric([name], values[key])
            yield gauge


def _zeros() -> dict[str, float]:
    return dict.fromkeys(_COUNTERS, 0.0)


def _add(counts: dict[str, float], edge: EdgeStats) -> None:
    for key in counts:
        counts[key] += getattr(edge, key)


def cumulative(
    histogram: Histogram, bounds: Sequence[float], scale: float = 1e9
) -> list[tuple[str, float]]:
    """Counts up to each bound, which is ``scale`` times as large in ``histogram``.

    A record within 1/16 below a bound may count above it.
    """
    last = np.searchsorted(_EDGES, np.asarray(bounds) * scale, side="right") - 1
    seen = np.cumsum(np.frombuffer(histogram.counts, np.uint64))[last]
    rows = [(str(float(bound)), float(n)) for bound, n in zip(bounds, seen, strict=True)]
    return [*rows, ("+Inf", histogram.count)]
