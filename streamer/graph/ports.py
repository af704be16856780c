"""Typed ports: how a node class says what it takes and what it gives.

    class Vad(Node):
        audio: In[AudioFrame]
        speech: Out[SpeechSpan]

The first ``In`` and the first ``Out`` are the defaults that a bare node name means in YAML.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from streamer.packets import Stamp

__all__ = ["In", "Out", "PortSpec", "accepts", "members", "ports_of"]

T = TypeVar("T")

Emit = Callable[["PortSpec", Any, Stamp | None], Awaitable[None]]


class In(Generic[T]):
    """Declares an input port. Assign an instance to set options.

    ``optional``: the graph may leave it unconnected. ``many``: several edges may end here.
    """

    def __init__(self, *, optional: bool = False, many: bool = False) -> None:
        self.optional = optional
        self.many = many


class Out(Generic[T]):
    """Declares an output port and, on a running node, sends through it."""

    def __init__(self) -> None:
        self._emit: Emit | None = None
        self._spec: PortSpec | None = None

    def bind(self, spec: PortSpec, emit: Emit) -> None:
        """Connect to the runtime (called by the engine, or by a test)."""
        self._spec, self._emit = spec, emit

    async def send(self, value: T, stamp: Stamp | None = None) -> None:
        """Pass ``value`` on to every edge of this port, obeying each edge's policy.

        Waits while an edge with ``when_full: block`` is full. ``stamp`` defaults to that of the
        packet being processed; sources give their own.
        """
        if self._emit is None or self._spec is None:
            raise RuntimeError("send() on a port that is not part of a running graph")
        await self._emit(self._spec, value, stamp)


@dataclass(frozen=True, slots=True)
class PortSpec:
    """One port of a node class."""

    name: str
    direction: typing.Literal["in", "out"]
    type: Any
    optional: bool = False
    many: bool = False

    @property
    def type_name(self) -> str:
        return " | ".join(t.__name__ for t in members(self.type))


def members(tp: Any) -> tuple[type, ...]:
    """The classes of a union, or the one class."""
    if isinstance(tp, types.UnionType) or typing.get_origin(tp) is typing.Union:
        return tuple(m for arg in typing.get_args(tp) for m in members(arg))
    return (object if tp is Any else typing.get_origin(tp) or tp,)


def accepts(taker: Any, giver: Any) -> bool:
    """Whether every value of type ``giver`` may enter a port of type ``taker``."""
    return all(
        any(issubclass(given, taken) for taken in members(taker)) for given in members(giver)
    )


def ports_of(node: type) -> tuple[dict[str, PortSpec], dict[str, PortSpec]]:
    """The input and output ports of a node class, in order of declaration."""
    ins: dict[str, PortSpec] = {}
    outs: dict[str, PortSpec] = {}
    hints: dict[str, Any] = {}
    for base in reversed(node.__mro__):
        if "__annotations__" in vars(base):
            names = vars(base)["__annotations__"]
            resolved = typing.get_type_hints(base)
            hints.update({name: resolved[name] for name in names})
    for name, hint in hints.items():
        origin = typing.get_origin(hint)
        if origin is In:
            options = getattr(node, name, None) or In()
            ins[name] = PortSpec(
                name, "in", typing.get_args(hint)[0], options.optional, options.many
            )
        elif origin is Out:
            outs[name] = PortSpec(name, "out", typing.get_args(hint)[0])
    return ins, outs
