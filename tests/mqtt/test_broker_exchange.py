from __future__ import annotations

import asyncio

import pytest

from streamer.mqtt.broker import exchange


@pytest.mark.parametrize("first", ["answer", "cancel"])
def test_a_cancellation_in_the_same_turn_as_the_answer_is_not_lost(first: str) -> None:
    async def scenario() -> None:
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        async def work() -> int:
            return await asyncio.wait_for(answer, 5)

        task = asyncio.create_task(exchange(work()))
        for _ in range(5):
            await asyncio.sleep(0)
        if first == "answer":
            answer.set_result(1)
            task.cancel()
        else:
            task.cancel()
            answer.cancelled() or answer.set_result(1)
        with pytest.raises(asyncio.CancelledError):
            await task
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(scenario())


def test_results_and_errors_come_through() -> None:
    async def scenario() -> None:
        async def work(value: int) -> int:
            await asyncio.sleep(0)
            return 10 // value

        assert await exchange(work(5)) == 2
        with pytest.raises(ZeroDivisionError):
            await exchange(work(0))

    asyncio.run(scenario())
