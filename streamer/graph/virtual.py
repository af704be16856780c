"""An event loop whose clock jumps: hours of media in milliseconds, the same way every time.

Nothing sleeps: when no callback is ready, the clock moves to the next timer. While worker
threads or subprocesses started through the loop are busy the clock stands still, so the result
does not depend on how fast the machine is.
"""

from __future__ import annotations

import asyncio
import contextlib
import selectors
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

__all__ = ["VirtualLoop", "run"]

T = TypeVar("T")

_PATIENCE = 10.0
"""Real seconds to wait for a thread before calling it a deadlock."""


class _JumpingSelector(selectors.DefaultSelector):
    """Moves the loop's clock on instead of waiting, unless outside work is under way."""

    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        if self.loop.held:
            return super().select(_PATIENCE)
        if timeout is None:
            # Without any timer only a foreign thread can wake the loop.
            ready = super().select(_PATIENCE)
            if not ready:
                raise RuntimeError("virtual time: every task waits for something that never comes")
            return ready
        self.loop.advance(timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """A selector event loop on virtual time, starting at 1000 s."""

    def __init__(self) -> None:
        selector = _JumpingSelector()
        selector.loop = self
        self._now = 1000.0
        self.held = 0
        super().__init__(selector)

    def time(self) -> float:
        return self._now

    def advance(self, seconds: float) -> None:
        """Move the clock on by ``seconds``."""
        self._now += seconds

    @contextlib.contextmanager
    def hold(self) -> Iterator[None]:
        """Let the clock stand still until the block ends."""
        self.held += 1
        try:
            yield
        finally:
            self.held -= 1

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        future = super().run_in_executor(executor, func, *args)
        self.held += 1
        future.add_done_callback(self._release)
        return future

    async def shutdown_default_executor(self, *args: Any) -> None:
        with self.hold():
            await super().shutdown_default_executor(*args)

    def _release(self, _: asyncio.Future[Any]) -> None:
        self.held -= 1


def run(main: Coroutine[Any, Any, T]) -> T:
    """``asyncio.run`` on virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
