"""One wait that is too long ends the block; many short ones, and work between them, do not."""

from __future__ import annotations

import asyncio

import pytest

from streamer.graph.virtual import run
from streamer.serve.patience import Patience


async def waits(*steps: tuple[str, float]) -> float:
    """The loop's time at the end, or when it was over."""
    loop = asyncio.get_running_loop()
    begin = loop.time()
    try:
        async with Patience(10.0) as patience:
            for kind, seconds in steps:
                patience.since = loop.time() if kind == "wait" else None
                await asyncio.sleep(seconds)
                patience.since = None
    except TimeoutError:
        return -(loop.time() - begin)
    return loop.time() - begin


@pytest.mark.parametrize(
    ("steps", "ended"),
    [
        ([("wait", 9.0)] * 5, 45.0),
        ([("wait", 9.0), ("work", 25.0), ("wait", 9.0)], 43.0),
        ([("wait", 3.0), ("wait", 30.0)], -13.0),
        ([("work", 14.0), ("wait", 30.0)], -24.0),
    ],
)
def test_only_a_wait_counts(steps: list[tuple[str, float]], ended: float) -> None:
    assert run(waits(*steps)) == pytest.approx(ended, abs=0.01)


def test_being_cancelled_is_no_time_out() -> None:
    async def main() -> None:
        task = asyncio.create_task(waits(("wait", 5.0)))
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(main())
