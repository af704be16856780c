"""The envelope around a payload while it travels, and signals that overtake it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from streamer.packets import Stamp

__all__ = ["Flush", "Interrupt", "Mark", "Packet", "Signal", "interruptible"]


class Packet:
    """A payload, its stamp, and what the edge noted about it."""

    __slots__ = ("duration", "gap_items", "gap_seconds", "queued_ns", "stamp", "value")

    def __init__(self, value: Any, stamp: Stamp) -> None:
        self.value = value
        self.stamp = stamp
        self.duration: float = getattr(value, "duration", 0.0)
        self.queued_ns = 0
        self.gap_items = 0
        self.gap_seconds = 0.0


@dataclass(frozen=True, slots=True)
class Interrupt:
    """The generation rose; interruptible packets of older ones have been dropped."""

    generation: int


@dataclass(frozen=True, slots=True)
class Flush:
    """Throw away buffered work."""


Signal = Interrupt | Flush


@dataclass(frozen=True, slots=True)
class Mark:
    """Travels in order with the data: behind everything sent before it, on every path.

    A node hears of it (``on_mark``) once it has come through all its inputs, and it goes on
    through all its outputs. At a sink it proves that everything before it has been worked off.
    """

    id: str


def interruptible(value: Any) -> bool:
    """Whether an interruption makes ``value`` stale.

    True unless its class says ``interruptible = False``: what a person said stays true when they
    interrupt an answer, the answer does not.
    """
    return type(value) is not Mark and bool(getattr(type(value), "interruptible", True))
