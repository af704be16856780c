"""Wakes one task that waits for something to change."""

from __future__ import annotations

import asyncio

__all__ = ["Bell"]


class Bell:
    """For one waiting task at a time, which looks itself at what has changed.

    asyncio.Event would do; but it asks for the running loop at every wait, and before Python 3.12
    that is a system call: a tenth of a gateway's time.
    """

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiter: asyncio.Future[None] | None = None

    def ring(self) -> None:
        """Wake whoever waits now; a ring that nobody hears is forgotten."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def wait(self) -> None:
        """Until the next ring."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None
