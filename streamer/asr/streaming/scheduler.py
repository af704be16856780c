"""Batches from many sessions for one engine thread.

While a batch runs, whoever becomes ready waits for the next; an idle engine waits ``max_wait``
for company before it starts. Work is collected on the event loop, so there is nothing to lock,
and at most one item per waiting caller is held.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

__all__ = ["Batcher"]

T = TypeVar("T")
R = TypeVar("R")


class Batcher(Generic[T, R]):
    """Calls ``run`` with up to ``max_batch`` items on a thread of its own.

    ``run`` returns one result per item, in order; a result that is an exception is raised for
    that caller alone. If ``run`` itself raises, everybody in the batch gets the error.
    """

    def __init__(
        self,
        run: Callable[[Sequence[T]], Sequence[R | Exception]],
        *,
        max_batch: int = 32,
        max_wait: float = 0.005,
        name: str = "engine",
    ) -> None:
        self._run, self._max_batch, self._max_wait = run, max_batch, max_wait
        self._pool = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._waiting: list[tuple[T, asyncio.Future[R]]] = []
        self._task: asyncio.Task[None] | None = None

    async def submit(self, item: T) -> R:
        """The result for ``item``; a cancelled caller is left out or its result is dropped."""
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._task is None:
            self._task = asyncio.create_task(self._work())
        return await future

    async def aclose(self) -> None:
        """Wait for the running batch and end the thread."""
        if self._task is not None:
            await self._task
        self._pool.shutdown(wait=False)

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._waiting:
                if len(self._waiting) < self._max_batch and self._max_wait:
                    await asyncio.sleep(self._max_wait)
                batch = [pair for pair in self._waiting if not pair[1].done()][: self._max_batch]
                taken = {id(future) for _, future in batch}
                self._waiting = [
                    pair
                    for pair in self._waiting
                    if id(pair[1]) not in taken and not pair[1].done()
                ]
                if not batch:
                    continue
                try:
                    items = [item for item, _ in batch]
                    results = await loop.run_in_executor(self._pool, self._run, items)
                except Exception as error:
                    for _, future in batch:
                        if not future.done():
                            future.set_exception(error)
                    continue
                for (_, future), result in zip(batch, results, strict=True):
                    if future.done():
                        continue
                    if isinstance(result, Exception):
                        future.set_exception(result)
                    else:
                        future.set_result(result)
        finally:
            self._task = None
