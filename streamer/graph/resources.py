"""Things that sessions share: models, inference engines, worker pools."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import AsyncIterator, Callable, Hashable
from typing import Any, TypeVar, cast

__all__ = ["Resources"]

T = TypeVar("T")


class Resources:
    """A registry that builds each shared thing once and closes it with the last session.

    Building runs on a worker thread, since it usually loads a model. Two askers of the same key
    get the same object, the second waiting for the first to have built it.
    """

    def __init__(self) -> None:
        self._building: dict[Hashable, asyncio.Task[Any]] = {}

    async def get(self, key: Hashable, build: Callable[[], T]) -> T:
        """The object stored under ``key``, built by ``build()`` if there is none yet.

        A failing ``build`` raises here and is tried again by the next asker.
        """
        task = self._building.get(key)
        if task is None:
            task = asyncio.create_task(self._build(key, build), name=f"build {key}")
            self._building[key] = task
        return cast(T, await asyncio.shield(task))

    async def _build(self, key: Hashable, build: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(None, build)
        except BaseException:
            del self._building[key]
            raise

    def built(self) -> list[Any]:
        """Everything that has been built and is there now, oldest first."""
        done = [task for task in self._building.values() if task.done()]
        return [t.result() for t in done if not t.cancelled() and t.exception() is None]

    async def aclose(self) -> None:
        """Close every object that has ``aclose`` or ``close``, newest first."""
        tasks = reversed(list(self._building.values()))
        for thing in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(thing, BaseException):
                continue
            closer = getattr(thing, "aclose", None) or getattr(thing, "close", None)
            if closer is not None:
                outcome = closer()
                if inspect.isawaitable(outcome):
                    await outcome
        self._building.clear()

    @contextlib.asynccontextmanager
    async def lifetime(self) -> AsyncIterator[Resources]:
        """Close everything when the block ends."""
        try:
            yield self
        finally:
            await self.aclose()
