"""The models that sessions share, as Prometheus metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final, Protocol

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from streamer.trace.histogram import Histogram
from streamer.trace.prometheus import LATENCY_BUCKETS, cumulative

__all__ = ["EngineLike", "EngineMetrics"]

_SIZES: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class EngineLike(Protocol):
    """What is read of a shared model; :class:`streamer.batching.EngineStats` has it."""

    name: str
    waits: Histogram
    runs: Histogram
    sizes: Histogram
    media: float
    withdrawn: int
    waiting: int


class EngineMetrics(Collector):
    """Shows the engines that ``engines`` names at each rendering.

    Engines of the same name are told apart by a number.
    """

    def __init__(self, engines: Callable[[], Iterable[EngineLike]]) -> None:
        self._engines = engines

    def collect(self) -> Iterator[Metric]:
        label = ["engine"]
        waits = HistogramMetricFamily(
            "streamer_engine_wait_seconds", "From asking to the start of the work.", labels=label
        )
        runs = HistogramMetricFamily(
            "streamer_engine_run_seconds", "How long a batch worked.", labels=label
        )
        sizes = HistogramMetricFamily(
            "streamer_engine_batch_size", "Items of all sessions in a batch.", labels=label
        )
        media = CounterMetricFamily(
            "streamer_engine_audio_seconds", "Audio that was worked on.", labels=label
        )
        withdrawn = CounterMetricFamily(
            "streamer_engine_withdrawn", "Items given up before they ran.", labels=label
        )
        waiting = GaugeMetricFamily("streamer_engine_waiting", "Items waiting now.", labels=label)
        for name, engine in self._named():
            for family, histogram in ((waits, engine.waits), (runs, engine.runs)):
                rows = cumulative(histogram, LATENCY_BUCKETS)
                family.add_metric([name], rows, histogram.total / 1e9)
            sizes.add_metric([name], cumulative(engine.sizes, _SIZES, 1), engine.sizes.total)
            media.add_metric([name], engine.media)
            withdrawn.add_metric([name], engine.withdrawn)
            waiting.add_metric([name], engine.waiting)
        yield from (waits, runs, sizes, media, withdrawn, waiting)

    def _named(self) -> Iterator[tuple[str, EngineLike]]:
        seen: dict[str, int] = {}
        for engine in self._engines():
            number = seen[engine.name] = seen.get(engine.name, 0) + 1
            yield engine.name if number == 1 else f"{engine.name} {number}", engine
