"""Virtual time jumps, waits for threads, and notices a deadlock."""

from __future__ import annotations

import asyncio
import time

from streamer.graph.virtual import run


def test_an_hour_passes_at_once_and_exactly() -> None:
    async def main() -> float:
        loop = asyncio.get_running_loop()
        begin = loop.time()
        await asyncio.gather(*(asyncio.sleep(3600) for _ in range(3)))
        return loop.time() - begin

    real = time.perf_counter()
    assert run(main()) == 3600
    assert time.perf_counter() - real < 5


def test_the_clock_stands_still_while_a_thread_works() -> None:
    async def main() -> tuple[float, float]:
        loop = asyncio.get_running_loop()
        begin = loop.time()
        ticker = asyncio.create_task(asyncio.sleep(5))
        await asyncio.to_thread(time.sleep, 0.05)
        during = loop.time() - begin
        await ticker
        return during, loop.time() - begin

    assert run(main()) == (0, 5)
