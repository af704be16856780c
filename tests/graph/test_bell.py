"""Rings wake the waiting task, and only that."""

from __future__ import annotations

import asyncio

from streamer.graph.bell import Bell


def test_a_ring_wakes_who_waits_and_is_forgotten_otherwise() -> None:
    async def main() -> list[str]:
        bell, said = Bell(), list[str]()

        async def wait() -> None:
            await bell.wait()
            said.append("woken")

        bell.ring()  # nobody hears it
        task = asyncio.create_task(wait())
        await asyncio.sleep(0)
        assert not said
        bell.ring()
        bell.ring()
        await task
        cancelled = asyncio.create_task(wait())
        await asyncio.sleep(0)
        cancelled.cancel()
        await asyncio.gather(cancelled, return_exceptions=True)
        bell.ring()
        return said

    assert asyncio.run(main()) == ["woken"]
