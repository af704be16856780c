"""Who may come in: a bound on sessions, a bounded queue before it, a bounded wait."""

from __future__ import annotations

import asyncio
from collections import deque

from streamer.errors import StreamerError

__all__ = ["Admission", "RefusedError"]


class RefusedError(StreamerError):
    """No room for another session; ``retry_after`` seconds is a good time to ask again."""

    def __init__(self, reason: str, retry_after: float) -> None:
        super().__init__(
            f"No session is free: {reason}.",
            code="serve.full",
            hint=f"Try again in {retry_after:.0f} s.",
        )
        self.retry_after = retry_after


class Admission:
    """At most ``sessions`` at once; up to ``queue`` more wait, each at most ``wait`` seconds."""

    def __init__(self, sessions: int, queue: int = 0, wait: float = 0.0) -> None:
        self.limit = sessions
        self.queue = queue
        self.wait = wait
        self.active = 0
        self.admitted = 0
        self.refused = 0
        self.closed = False
        self._line: deque[asyncio.Future[None]] = deque()

    @property
    def waiting(self) -> int:
        return len(self._line)

    async def enter(self) -> None:
        """Take a place, waiting in line if allowed. Raises :class:`RefusedError`."""
        if self.closed:
            raise self._refuse("the server is shutting down", 10.0)
        if self.active >= self.limit:
            if len(self._line) >= self.queue or self.wait <= 0:
                raise self._refuse(f"all {self.limit} are in use", max(self.wait, 1.0))
            await self._stand_in_line()
            if self.closed:  # between the grant and now
                self.leave()
                raise self._refuse("the server is shutting down", 10.0)
        else:
            self.active += 1
        self.admitted += 1

    async def _stand_in_line(self) -> None:
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._line.append(place)
        try:
            await asyncio.wait_for(asyncio.shield(place), self.wait)
        except BaseException as error:
            if place.done() and not place.cancelled() and place.exception() is None:
                # The place was ours in the moment in which we gave up: hand it on.
                self.leave()
            elif place in self._line:
                self._line.remove(place)
            if isinstance(error, TimeoutError):
                raise self._refuse(f"none became free in {self.wait:g} s", self.wait) from None
            raise

    def leave(self) -> None:
        """Give the place back, to the first in line if there is one."""
        while self._line:
            place = self._line.popleft()
            if not place.done():
                place.set_result(None)
                return
        self.active -= 1

    def close(self) -> None:
        """Admit nobody any more; those in line are refused."""
        self.closed = True
        for place in self._line:
            if not place.done():
                place.set_exception(self._refuse("the server is shutting down", 10.0))
        self._line.clear()

    def _refuse(self, reason: str, retry_after: float) -> RefusedError:
        self.refused += 1
        return RefusedError(reason, retry_after)
