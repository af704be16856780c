"""A time-out for many short waits, one after the other."""

from __future__ import annotations

import asyncio
from types import TracebackType

__all__ = ["Patience"]


class Patience:
    """Raises TimeoutError in its block once one wait has taken ``seconds``.

    Set ``since`` to the loop's time before a wait and to None after it. A timer of its own for
    each wait (``asyncio.timeout``) would cost more than reading a short message.
    """

    def __init__(self, seconds: float) -> None:
        self.since: float | None = None
        self._seconds = seconds
        self._timeout = asyncio.timeout(None)
        self._loop = asyncio.get_running_loop()

    async def __aenter__(self) -> Patience:
        await self._timeout.__aenter__()
        self._look()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._handle.cancel()
        await self._timeout.__aexit__(kind, error, trace)

    def _look(self) -> None:
        now = self._loop.time()
        left = self._seconds if self.since is None else self.since + self._seconds - now
        self._handle = self._loop.call_later(max(left, 0.0), self._look)
        if left <= 0:
            self._handle.cancel()
            self._timeout.reschedule(now)
