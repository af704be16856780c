"""Threads that sessions share: batches, turns, and callers that go away."""

from __future__ import annotations

import asyncio
import threading

import pytest

from streamer.batching import Batcher, Turns
from streamer.graph import virtual


def test_whoever_is_ready_while_a_batch_runs_shares_the_next() -> None:
    batches: list[list[int]] = []
    gate = threading.Event()

    def run(items: list[int]) -> list[int | Exception]:
        batches.append(list(items))
        gate.wait(5)
        return [ValueError(str(i)) if i == 3 else i * 2 for i in items]

    async def main() -> None:
        batcher: Batcher[int, int] = Batcher(run, max_batch=4, max_wait=0.0)
        first = asyncio.create_task(batcher.submit(0))
        await asyncio.sleep(0.05)
        rest = [asyncio.create_task(batcher.submit(i)) for i in range(1, 7)]
        await asyncio.sleep(0.05)
        rest[5].cancel()
        gate.set()
        found = await asyncio.gather(first, *rest, return_exceptions=True)
        assert [str(x) if isinstance(x, ValueError) else x for x in found[:6]] == [
            0, 2, 4, "3", 8, 10,
        ]  # fmt: skip
        assert isinstance(found[6], asyncio.CancelledError)
        await batcher.aclose()

    asyncio.run(main())
    assert batches == [[0], [1, 2, 3, 4], [5]]


def test_two_workers_run_two_batches_side_by_side() -> None:
    both = threading.Barrier(2)

    def run(items: list[int]) -> list[int | Exception]:
        if items[0] < 10:
            both.wait(5)  # broken unless two batches are under way at once
        return list(items)

    async def main() -> None:
        batcher: Batcher[int, int] = Batcher(run, max_batch=2, max_wait=0.0, workers=2)
        assert await asyncio.gather(*(batcher.submit(i) for i in range(4))) == [0, 1, 2, 3]
        tasks = [asyncio.create_task(batcher.submit(i)) for i in range(10, 110)]
        tasks[50].cancel()
        await asyncio.sleep(0)
        await batcher.aclose()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert [x for x in found if isinstance(x, int)] == [i for i in range(10, 110) if i != 60]
        assert batcher.stats[0].waiting == 0

    asyncio.run(main())


def test_an_engine_that_fails_tells_everybody_in_the_batch_and_goes_on() -> None:
    def run(items: list[int]) -> list[int | Exception]:
        if 13 in items:
            raise RuntimeError("no")
        return list(items)

    async def main() -> None:
        batcher: Batcher[int, int] = Batcher(run)
        found = await asyncio.gather(*(batcher.submit(i) for i in (1, 13)), return_exceptions=True)
        assert [str(x) for x in found] == ["no", "no"]
        assert await batcher.submit(5) == 5
        await batcher.aclose()

    asyncio.run(main())


def test_a_lonely_item_waits_for_company_unless_all_members_are_there() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        batcher: Batcher[int, int] = Batcher(list, max_wait=0.005, name="vad")
        begin = loop.time()
        late = loop.call_later(0.004, lambda: tasks.append(asyncio.ensure_future(ask(2))))
        tasks: list[asyncio.Future[int]] = []

        async def ask(item: int) -> int:
            return await batcher.submit(item, media=0.032)

        assert await ask(1) == 1
        assert loop.time() - begin == pytest.approx(0.005)
        assert late.when() < loop.time()
        assert await tasks[0] == 2
        batcher.members = 2
        begin = loop.time()
        await asyncio.gather(ask(3), ask(4))
        assert loop.time() == begin
        await batcher.aclose()
        (stats,) = batcher.stats
        assert (stats.sizes.count, stats.sizes.total, stats.sizes.highest) == (2, 4, 2)
        assert stats.waits.count == 4
        assert stats.waits.highest == pytest.approx(5e6, rel=1e-3)
        assert stats.media == pytest.approx(4 * 0.032)

    virtual.run(main())


class Worker:
    """Blocks in ``work`` until told, notes who came."""

    def __init__(self) -> None:
        self.order: list[str] = []
        self.gate = threading.Semaphore(0)

    def work(self, name: str) -> str:
        self.order.append(name)
        self.gate.acquire(timeout=5)
        if name == "broken":
            raise ValueError(name)
        return name


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0.01)


def test_finals_overtake_partials_and_what_is_superseded_never_runs() -> None:
    worker = Worker()

    async def main() -> None:
        turns = Turns(1, ("final", "partial"), name="model")

        async def ask(name: str, lane: str) -> str | None:
            async with turns.turn(lane) as turn:
                return await turn.run(worker.work, name) if turn.granted else None

        first = asyncio.create_task(ask("p0", "partial"))
        await settle()
        superseded = turns.turn("partial")

        async def give_up() -> bool:
            async with superseded as turn:
                return turn.granted

        waiting = [asyncio.create_task(give_up())]
        names = [("p1", "partial"), ("p2", "partial"), ("f1", "final"), ("broken", "final")]
        tasks = [asyncio.create_task(ask(*name)) for name in names]
        gone = asyncio.create_task(ask("gone", "final"))
        await settle()
        assert turns.stats[0].waiting == 3
        superseded.withdraw()
        gone.cancel()
        worker.gate.release(10)
        assert await first == "p0"
        found = await asyncio.gather(*tasks, gone, return_exceptions=True)
        assert found[:3] == ["p1", "p2", "f1"]
        assert str(found[3]) == "broken"
        assert isinstance(found[4], asyncio.CancelledError)
        assert await waiting[0] is False
        assert worker.order == ["p0", "f1", "broken", "p1", "p2"]
        final, partial = turns.stats
        assert (final.name, final.withdrawn, partial.withdrawn) == ("model.final", 1, 1)
        assert (final.runs.count, partial.runs.count) == (1, 3)
        await turns.aclose()

    asyncio.run(main())


def test_a_caller_cancelled_at_work_holds_its_worker_until_the_work_is_done() -> None:
    worker = Worker()

    async def main() -> None:
        turns = Turns(1, ("any",), name="model")

        async def ask(name: str) -> str:
            async with turns.turn("any") as turn:
                return await turn.run(worker.work, name)

        dead, next_ = asyncio.create_task(ask("dead")), asyncio.create_task(ask("next"))
        await settle()
        dead.cancel()
        await settle()
        assert dead.cancelled()
        assert worker.order == ["dead"]
        worker.gate.release(2)
        assert await next_ == "next"
        await turns.aclose()

    asyncio.run(main())


def test_spare_workers_are_for_the_urgent_lane() -> None:
    worker = Worker()

    async def main() -> None:
        turns = Turns(2, ("final", "partial"), name="model", spare=1)

        async def ask(name: str, lane: str) -> str:
            async with turns.turn(lane) as turn:
                return await turn.run(worker.work, name)

        tasks = [asyncio.create_task(ask(f"p{i}", "partial")) for i in range(2)]
        await settle()
        assert worker.order == ["p0"]
        tasks.append(asyncio.create_task(ask("f", "final")))
        await settle()
        assert worker.order == ["p0", "f"]
        worker.gate.release(3)
        assert await asyncio.gather(*tasks) == ["p0", "p1", "f"]
        await turns.aclose()

    asyncio.run(main())
