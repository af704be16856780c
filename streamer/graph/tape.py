"""Where a recording listens to a running graph, and where a replay leads it."""

from __future__ import annotations

import asyncio
import functools
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from streamer.graph.channel import Channel
from streamer.graph.inbox import Inbox
from streamer.graph.packet import Packet
from streamer.packets import Stamp

if TYPE_CHECKING:
    from streamer.graph.engine import Engine

__all__ = ["Tape", "TapedLoop", "work_name"]

T = TypeVar("T")


class Tape:
    """What the engine tells, on the event loop. This one listens to nothing."""

    def attach(self, engine: Engine) -> None:
        """The run begins; called before any node is made."""

    def inbox(self, node: str, channels: Sequence[Channel]) -> Inbox:
        """What ``node`` will read from."""
        return Inbox(channels)

    def sent(self, node: str, port: str, value: Any, stamp: Stamp) -> None:
        """``node`` sent ``value``; an empty ``port`` is a mark on all of them."""

    def lost(self, channel: Channel, packet: Packet, why: str) -> None:
        """The edge dropped, coalesced or found stale ``packet``."""

    def signal(self, name: str, by: str) -> None:
        """``interrupt`` or ``flush``, ``by`` a node or (empty) the host."""

    def ended(self, node: str) -> None:
        """``node`` will send no more."""


class TapedLoop(asyncio.SelectorEventLoop):
    """Tells when each piece of work on another thread was done, as the loop saw it."""

    def __init__(self, on_work: Callable[[str, int], None]) -> None:
        super().__init__()
        self._on_work = on_work
        self._started: Counter[str] = Counter()

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        future = super().run_in_executor(executor, func, *args)
        name = work_name(func)
        number = self._started[name]
        self._started[name] += 1
        future.add_done_callback(lambda _: self._on_work(name, number))
        return future


def work_name(func: Any) -> str:
    """What a function is called, the same in a recording and in its replay."""
    while isinstance(func, functools.partial):
        func = func.func
    return f"{func.__module__}.{getattr(func, '__qualname__', type(func).__qualname__)}"
