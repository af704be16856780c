"""A latency histogram of fixed size: logarithmic buckets, no allocation when recording."""

from __future__ import annotations

from array import array

__all__ = ["Histogram", "upper_edges"]

_SUB_BITS = 4
_SUB = 1 << _SUB_BITS
_BUCKETS = _SUB * (64 - _SUB_BITS)


class Histogram:
    """Counts of non-negative integers (nanoseconds) with at most 1/16 relative error.

    Each power of two is split into 16 linear buckets (the scheme of HdrHistogram).
    """

    __slots__ = ("count", "counts", "highest", "total")

    def __init__(self) -> None:
        self.counts = array("Q", bytes(8 * _BUCKETS))
        self.count = 0
        self.total = 0
        self.highest = 0

    def record(self, value: int) -> None:
        """Count one value; negative ones count as 0."""
        if value < _SUB:
            value = max(value, 0)
            index = value
        else:
            shift = value.bit_length() - _SUB_BITS - 1
            index = (shift << _SUB_BITS) + (value >> shift)
        self.counts[index] += 1
        self.count += 1
        self.total += value
        if value > self.highest:
            self.highest = value

    @property
    def mean(self) -> float:
        return self.total / self.count if self.count else 0.0

    def percentile(self, percent: float) -> int:
        """The value below which ``percent`` % of the records lie (upper bucket edge)."""
        if not self.count:
            return 0
        rank = percent / 100 * self.count
        seen = 0
        for index, count in enumerate(self.counts):
            seen += count
            if count and seen >= rank:
                return min(_upper_edge(index), self.highest)
        return self.highest

    def buckets(self) -> list[tuple[int, int]]:
        """(upper edge, count) of every bucket that is not empty, rising."""
        return [(_upper_edge(i), n) for i, n in enumerate(self.counts) if n]


def upper_edges() -> list[int]:
    """The highest value of every bucket, in the order of ``Histogram.counts``."""
    return [_upper_edge(index) for index in range(_BUCKETS)]


def _upper_edge(index: int) -> int:
    if index < 2 * _SUB:
        return index
    shift = (index >> _SUB_BITS) - 1
    return (((index & (_SUB - 1)) + _SUB + 1) << shift) - 1
