"""Places are never lost and never given twice."""

from __future__ import annotations

import asyncio
import random

import pytest

from streamer.graph.virtual import run
from streamer.serve.admission import Admission, RefusedError


def test_the_limit_holds_and_the_rest_is_refused_with_a_time() -> None:
    async def main() -> None:
        door = Admission(2)
        await door.enter()
        await door.enter()
        with pytest.raises(RefusedError, match="all 2 are in use") as caught:
            await door.enter()
        assert caught.value.retry_after >= 1 and door.refused == 1
        door.leave()
        await door.enter()

    run(main())


def test_who_waits_comes_in_first_come_first_served_or_is_refused_in_time() -> None:
    order: list[int] = []

    async def client(door: Admission, number: int, stay: float) -> None:
        await door.enter()
        order.append(number)
        await asyncio.sleep(stay)
        door.leave()

    async def main() -> None:
        door = Admission(1, queue=3, wait=5)
        tasks = [asyncio.create_task(client(door, n, 2)) for n in range(5)]
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert order == [0, 1, 2]
        refused = [r for r in results if isinstance(r, RefusedError)]
        assert len(refused) == 2  # the fourth in line waits 6 s, the fifth finds the line full
        assert door.active == 0 and door.waiting == 0

    run(main())


@pytest.mark.parametrize("seed", range(20))
def test_no_place_leaks_whatever_is_cancelled(seed: int) -> None:
    dice = random.Random(seed)

    async def client(door: Admission) -> None:
        await asyncio.sleep(dice.random() * 3)
        await door.enter()
        try:
            assert door.active <= 3
            await asyncio.sleep(dice.random())
        finally:
            door.leave()

    async def main() -> None:
        door = Admission(3, queue=10, wait=0.7)
        tasks = [asyncio.create_task(client(door)) for _ in range(60)]
        for task in dice.sample(tasks, 20):
            asyncio.get_running_loop().call_later(dice.random() * 4, task.cancel)
        await asyncio.gather(*tasks, return_exceptions=True)
        assert door.active == 0 and door.waiting == 0

    run(main())
