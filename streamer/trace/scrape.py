"""Reads the text of ``/metrics`` back: counts and quantiles by edge, node and engine."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families

from streamer.errors import InputError

__all__ = ["Distribution", "Snapshot"]


@dataclass
class Distribution:
    """A histogram: records up to each bound (s), their number and their sum (s)."""

    cumulative: dict[float, float] = field(default_factory=dict)
    count: float = 0.0
    total: float = 0.0

    def since(self, earlier: Distribution | None) -> Distribution:
        """What was recorded after ``earlier``; everything if the process began anew."""
        if earlier is None or earlier.count > self.count:
            return self
        return Distribution(
            {le: n - earlier.cumulative.get(le, 0.0) for le, n in self.cumulative.items()},
            self.count - earlier.count,
            self.total - earlier.total,
        )

    def quantile(self, share: float) -> float:
        """The value (s) below which ``share`` (0..1) of the records lie.

        Interpolated within its bucket. NaN without records; the highest finite bound if the value
        lies beyond it, as Prometheus' ``histogram_quantile`` does.
        """
        rank = share * self.count
        low = below = 0.0
        for bound, count in sorted(self.cumulative.items()):
            if count >= rank and count > below:
                if math.isinf(bound):
                    return low
                return low + (bound - low) * (rank - below) / (count - below)
            low, below = bound, count
        return math.nan


@dataclass
class Snapshot:
    """``/metrics`` at one time (s, any clock).

    ``values`` by (metric, edge, node or engine), ``distributions`` likewise; ``service`` are the
    values of the whole process, by name with their labels.
    """

    time: float
    values: dict[tuple[str, str], float] = field(default_factory=dict)
    distributions: dict[tuple[str, str], Distribution] = field(default_factory=dict)
    service: dict[str, float] = field(default_factory=dict)
    service_distributions: dict[str, Distribution] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str, time: float) -> Snapshot:
        """Raises :class:`InputError` (``top.not-metrics``) if ``text`` is something else."""
        snapshot = cls(time)
        try:
            for family in text_string_to_metric_families(text):
                for sample in family.samples:
                    snapshot._take(family.type, sample.name, dict(sample.labels), sample.value)
        except (ValueError, IndexError, KeyError) as error:
            raise InputError(
                f"The answer is not in the Prometheus text format: {error}.",
                code="top.not-metrics",
                hint="Give the address of a running `streamer serve`.",
            ) from error
        return snapshot

    def names(self, metric: str) -> list[str]:
        """The edges, nodes or engines that ``metric`` knows, in order of appearance."""
        both = [*self.distributions, *self.values]
        return list(dict.fromkeys(name for key, name in both if key == metric))

    def _take(self, kind: str, name: str, labels: dict[str, str], value: float) -> None:
        le = labels.pop("le", "")
        where = labels.pop("edge", "") or labels.pop("node", "") or labels.pop("engine", "")
        if kind != "histogram":
            if where:
                self.values[name, where] = value
            elif not name.endswith("_created"):
                self.service[_with_labels(name, labels)] = value
            return
        metric, _, part = name.rpartition("_")
        if where:
            distribution = self.distributions.setdefault((metric, where), Distribution())
        else:
            distribution = self.service_distributions.setdefault(
                _with_labels(metric, labels), Distribution()
            )
        if part == "bucket":
            distribution.cumulative[float(le)] = value
        elif part == "count":
            distribution.count = value
        elif part == "sum":
            distribution.total = value


def _with_labels(name: str, labels: dict[str, str]) -> str:
    return " ".join([name, *(f"{key}={value}" for key, value in labels.items())])
