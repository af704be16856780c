"""Shared things are built once and closed once."""

from __future__ import annotations

import asyncio
import time

import pytest

from streamer.graph import Resources


class Thing:
    closed = 0

    async def aclose(self) -> None:
        Thing.closed += 1


def test_two_askers_get_one_thing_and_it_is_closed_once() -> None:
    built: list[Thing] = []

    def build() -> Thing:
        time.sleep(0.02)
        built.append(Thing())
        return built[-1]

    async def main() -> None:
        async with Resources().lifetime() as resources:
            a, b = await asyncio.gather(resources.get("k", build), resources.get("k", build))
            assert a is b and len(built) == 1

    Thing.closed = 0
    asyncio.run(main())
    assert Thing.closed == 1


def test_a_failed_build_is_tried_again() -> None:
    tries: list[int] = []

    def build() -> int:
        tries.append(1)
        if len(tries) == 1:
            raise ValueError("first time")
        return 42

    async def main() -> None:
        resources = Resources()
        with pytest.raises(ValueError, match="first time"):
            await resources.get("k", build)
        assert await resources.get("k", build) == 42

    asyncio.run(main())


def test_a_cancelled_asker_does_not_take_the_thing_from_the_others() -> None:
    def build() -> int:
        time.sleep(0.05)
        return 1

    async def main() -> None:
        resources = Resources()
        first = asyncio.create_task(resources.get("k", build))
        second = asyncio.create_task(resources.get("k", build))
        await asyncio.sleep(0.01)
        first.cancel()
        assert await second == 1
        with pytest.raises(asyncio.CancelledError):
            await first

    asyncio.run(main())
