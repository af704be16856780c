"""Models that many sessions share, on threads of their own: batches, and turns by urgency.

Everything is collected on the event loop, so there is nothing to lock, and a caller holds at most
one place. A caller that is cancelled leaves its place; what runs for it already is finished and
thrown away, and nobody else notices.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Generic, TypeVar

from streamer.trace.histogram import Histogram

__all__ = ["Batcher", "EngineStats", "Turn", "Turns"]

T = TypeVar("T")
R = TypeVar("R")


@dataclass
class EngineStats:
    """What a shared model has done. Times in ns, of the loop's clock."""

    name: str
    waits: Histogram = field(default_factory=Histogram)
    """From asking to the start of the work, of each item."""
    runs: Histogram = field(default_factory=Histogram)
    """Work, of each batch."""
    sizes: Histogram = field(default_factory=Histogram)
    """Items in each batch."""
    media: float = 0.0
    """Seconds of audio worked on; with ``runs.total`` it gives the real-time factor."""
    withdrawn: int = 0
    """Items given up before they ran."""
    waiting: int = 0

    def record(self, begin: float, end: float, asked: Sequence[float], media: float) -> None:
        """Count a batch that ran from ``begin`` to ``end`` (s) for items asked for at ``asked``."""
        for since in asked:
            self.waits.record(int((begin - since) * 1e9))
        self.runs.record(int((end - begin) * 1e9))
        self.sizes.record(len(asked))
        self.media += media


@dataclass(slots=True)
class _Place(Generic[T, R]):
    item: T
    since: float
    media: float
    future: asyncio.Future[R]


class Batcher(Generic[T, R]):
    """Calls ``run`` with up to ``max_batch`` items on threads of its own, first come first served.

    While ``workers`` batches run, whoever becomes ready waits for the next; an item waits
    ``max_wait`` seconds for company, unless all ``members`` wait already.

    ``run`` returns one result per item, in order; a result that is an exception is raised for
    that caller alone. If ``run`` itself raises, everybody in the batch gets the error.
    """

    def __init__(
        self,
        run: Callable[[Sequence[T]], Sequence[R | Exception]],
        *,
        max_batch: int = 32,
        max_wait: float = 0.005,
        workers: int = 1,
        name: str = "engine",
    ) -> None:
        self.stats = [EngineStats(name)]
        self.members = 0
        """How many callers there are; 0 if that is not known."""
        self._run, self._max_batch, self._max_wait = run, max_batch, max_wait
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix=name)
        self._waiting: deque[_Place[T, R]] = deque()
        self._free = asyncio.Semaphore(workers)
        self._task: asyncio.Task[None] | None = None
        self._running: set[asyncio.Task[None]] = set()

    async def submit(self, item: T, media: float = 0.0) -> R:
        """The result for ``item``, which stands for ``media`` seconds of audio."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[R] = loop.create_future()
        self._waiting.append(_Place(item, loop.time(), media, future))
        if self._task is None:
            self._task = asyncio.create_task(self._gather())
        return await future

    async def aclose(self) -> None:
        """Wait for what is asked for and end the threads."""
        while self._task is not None or self._running:
            await asyncio.wait({*self._running, *([self._task] if self._task else ())})
        self._pool.shutdown(wait=False)

    async def _gather(self) -> None:
        """Hands out batches as long as somebody waits."""
        loop = asyncio.get_running_loop()
        try:
            while self._waiting:
                await self._free.acquire()
                patience = self._waiting[0].since + self._max_wait - loop.time()
                if patience > 0 and len(self._waiting) < self._wanted():
                    await asyncio.sleep(patience)
                batch = self._take()
                self.stats[0].waiting = len(self._waiting)
                if not batch:
                    self._free.release()
                    continue
                task = asyncio.create_task(self._work(batch))
                self._running.add(task)
                task.add_done_callback(self._running.discard)
        finally:
            self._task = None

    async def _work(self, batch: list[_Place[T, R]]) -> None:
        loop = asyncio.get_running_loop()
        begin = loop.time()
        results: Sequence[R | Exception]
        try:
            results = await loop.run_in_executor(
                self._pool, self._run, [place.item for place in batch]
            )
        except Exception as error:
            results = [error] * len(batch)
        finally:
            self._free.release()
        media = sum(place.media for place in batch)
        self.stats[0].record(begin, loop.time(), [place.since for place in batch], media)
        for place, result in zip(batch, results, strict=True):
            _settle(place.future, result)

    def _wanted(self) -> int:
        return min(self._max_batch, self.members) if self.members else self._max_batch

    def _take(self) -> list[_Place[T, R]]:
        batch: list[_Place[T, R]] = []
        while self._waiting and len(batch) < self._max_batch:
            place = self._waiting.popleft()
            if place.future.done():
                self.stats[0].withdrawn += 1
            else:
                batch.append(place)
        return batch


def _settle(future: asyncio.Future[R], result: R | Exception) -> None:
    if future.done():
        return
    if isinstance(result, Exception):
        future.set_exception(result)
    else:
        future.set_result(result)


class Turns:
    """``workers`` threads for a model that takes one item at a time; callers wait for a turn.

    ``lanes`` are named by falling urgency: a turn goes to whoever has waited longest in the most
    urgent lane. Each session asks for one turn at a time, so sessions take turns (round robin)
    and as many can wait as there are sessions. Work under way is never interrupted; ``spare``
    workers are kept free of all but the most urgent lane.
    """

    def __init__(self, workers: int, lanes: Sequence[str], *, name: str, spare: int = 0) -> None:
        self.stats = [EngineStats(f"{name}.{lane}") for lane in lanes]
        self._by_lane = dict(zip(lanes, self.stats, strict=True))
        self._urgent = lanes[0]
        self._lines: dict[str, deque[Turn]] = {lane: deque() for lane in lanes}
        self._workers, self._spare, self._busy = workers, spare, 0
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix=name)

    def turn(self, lane: str) -> Turn:
        """Ask for a turn, with ``async with``."""
        return Turn(self, lane)

    async def aclose(self) -> None:
        """End the threads; whoever still waits is told that there is no turn."""
        for line in self._lines.values():
            for turn in list(line):
                turn.withdraw()
        await asyncio.get_running_loop().run_in_executor(None, self._pool.shutdown)

    def _room(self, lane: str) -> bool:
        return self._busy < self._workers - (self._spare if lane != self._urgent else 0)

    def _next(self) -> None:
        """Hand free workers to those who wait."""
        for lane, line in self._lines.items():
            while line and self._room(lane):
                turn = line.popleft()
                if not turn.answer.done():
                    self._busy += 1
                    turn.answer.set_result(True)
            self._by_lane[lane].waiting = len(line)

    def _leave(self) -> None:
        self._busy -= 1
        self._next()


class Turn:
    """A place in line, then a worker: ``async with turns.turn("final") as turn: ...``.

    ``granted`` is False if it was withdrawn while it waited; then nothing can be run. ``times``
    (s, loop clock) are when it was asked for, when the work began and when it ended.
    """

    def __init__(self, turns: Turns, lane: str) -> None:
        self._turns, self._lane = turns, lane
        self._stats = turns._by_lane[lane]
        self._loop = asyncio.get_running_loop()
        self._running: asyncio.Future[Any] | None = None
        now = self._loop.time()
        self.times = (now, now, now)
        self.answer: asyncio.Future[bool] = self._loop.create_future()
        self.granted = False

    def withdraw(self) -> None:
        """Give up waiting; too late once the turn has come."""
        if not self.answer.done():
            self.answer.set_result(False)

    async def run(self, fn: Callable[..., R], *args: Any, media: float = 0.0) -> R:
        """Run ``fn(*args)``, work on ``media`` seconds of audio, on the worker of this turn."""
        asked, begin = self.times[0], self._loop.time()
        self._running = self._loop.run_in_executor(self._turns._pool, fn, *args)
        result: R = await asyncio.shield(self._running)
        self.times = (asked, begin, self._loop.time())
        self._stats.record(begin, self.times[2], [asked], media)
        return result

    async def __aenter__(self) -> Turn:
        self._turns._lines[self._lane].append(self)
        self._turns._next()
        try:
            self.granted = await self.answer
        except asyncio.CancelledError:
            if self.answer.done() and not self.answer.cancelled() and self.answer.result():
                self._turns._leave()
            self._stats.withdrawn += 1
            raise
        if not self.granted:
            self._stats.withdrawn += 1
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if not self.granted:
            return
        if self._running is None or self._running.done():
            self._turns._leave()
        else:
            self._running.add_done_callback(lambda _: self._turns._leave())
