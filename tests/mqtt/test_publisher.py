from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from streamer.errors import StreamerError
from streamer.mqtt.broker import Broker
from streamer.mqtt.outbox import Message
from streamer.mqtt.publisher import Publisher
from tests.mqtt.mosquitto import Mosquitto, free_port, subscribed


def number(n: int) -> Message:
    return Message("t/final", str(n).encode(), qos=1)


class Errors(list[StreamerError]):
    def __init__(self) -> None:
        self.some = asyncio.Event()

    def add(self, error: StreamerError) -> None:
        self.append(error)
        self.some.set()

    @property
    def codes(self) -> list[str]:
        return [error.code for error in self]


@asynccontextmanager
async def publishing(port: int, limit: int = 1000) -> AsyncIterator[tuple[Publisher, Errors]]:
    errors = Errors()
    publisher = Publisher(
        Broker("127.0.0.1", port, timeout=0.5),
        "t/state",
        limit=limit,
        retain_state=True,
        on_error=errors.add,
    )
    running = asyncio.create_task(publisher.run())
    try:
        yield publisher, errors
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def test_messages_arrive_in_order_and_the_state_tells_of_beginning_and_end(
    mosquitto: Mosquitto,
) -> None:
    async def scenario() -> None:
        async with subscribed(mosquitto.port) as mailbox:
            async with publishing(mosquitto.port) as (publisher, errors):
                for n in range(200):
                    publisher.publish(number(n))
                assert await publisher.drain(5) == 0
            assert await mailbox.until("final", 200) == [b"%d" % n for n in range(200)]
            states = [json.loads(s)["state"] for s in await mailbox.until("state", 2)]
            assert states == ["online", "offline"]
            assert errors == []

    asyncio.run(scenario())


def test_the_state_is_retained_for_those_who_come_later(mosquitto: Mosquitto) -> None:
    async def scenario() -> None:
        async with publishing(mosquitto.port) as (publisher, _):
            async with asyncio.timeout(5):
                await publisher.online.wait()
            async with subscribed(mosquitto.port) as mailbox:
                (state,) = await mailbox.until("state", 1)
                assert json.loads(state) == {"state": "online"}
                assert mailbox.messages[0].retain

    asyncio.run(scenario())


def test_nothing_is_lost_or_out_of_order_when_the_broker_dies_in_the_middle(
    mosquitto: Mosquitto,
) -> None:
    async def scenario() -> None:
        async with publishing(mosquitto.port) as (publisher, errors):
            async with subscribed(mosquitto.port) as mailbox:
                for n in range(100):
                    publisher.publish(number(n))
                await mailbox.until("final", 10)
                mosquitto.stop()
                before = await mailbox.to_the_end("final")
            for n in range(100, 150):
                publisher.publish(number(n))
            waiting = len(publisher.outbox)
            assert waiting >= 50
            async with asyncio.timeout(5):
                await errors.some.wait()
            await asyncio.to_thread(mosquitto.start)
            # Subscribed before the publisher is back: its next attempt is 0.2 s or more away.
            async with subscribed(mosquitto.port, "t/final") as mailbox:
                assert await publisher.drain(10) == 0
                after = await mailbox.until("final", waiting)
        got = [int(x) for x in before + after]
        doubled = len(got) - len(set(got))
        assert got[: len(before)] == list(range(len(before)))
        assert sorted(set(got)) == list(range(150)), "some are missing"
        assert [int(x) for x in after] == list(range(150 - waiting, 150))
        assert doubled <= 1
        assert errors.codes == ["mqtt.unreachable"]

    asyncio.run(scenario())


def test_a_broker_that_hangs_delays_and_doubles_but_loses_nothing(mosquitto: Mosquitto) -> None:
    async def scenario() -> None:
        async with (
            subscribed(mosquitto.port) as mailbox,
            publishing(mosquitto.port) as (publisher, errors),
        ):
            publisher.publish(number(0))
            await mailbox.until("final", 1)
            mosquitto.freeze()
            for n in range(1, 20):
                publisher.publish(number(n))
            async with asyncio.timeout(5):
                await errors.some.wait()
            mosquitto.thaw()
            assert await publisher.drain(20) == 0
            got = [int(x) for x in await mailbox.until("final", 20)]
            assert [n for i, n in enumerate(got) if n not in got[:i]] == list(range(20))
            assert errors.codes == ["mqtt.unreachable"]

    asyncio.run(scenario())


def test_a_full_buffer_says_so_once_and_drops_the_oldest(mosquitto: Mosquitto) -> None:
    async def scenario() -> None:
        mosquitto.stop()
        async with publishing(mosquitto.port, limit=10) as (publisher, errors):
            for n in range(25):
                publisher.publish(number(n))
            await asyncio.to_thread(mosquitto.start)
            async with subscribed(mosquitto.port, "t/final") as mailbox:
                got = await mailbox.until("final", 10)
            assert got == [b"%d" % n for n in range(15, 25)]
            codes = [code for code in errors.codes if code != "mqtt.unreachable"]
            assert codes == ["mqtt.overflow", "mqtt.lost"]
            assert "15 messages" in str(errors[-1])

    asyncio.run(scenario())


def test_no_broker_at_all_is_reported_once() -> None:
    async def scenario() -> None:
        async with publishing(free_port()) as (publisher, errors):
            publisher.publish(number(0))
            assert await publisher.drain(1.0) == 1
            assert errors.codes == ["mqtt.unreachable"]

    asyncio.run(scenario())


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="counts open files by /proc")
def test_no_task_and_no_socket_is_left_behind(mosquitto: Mosquitto) -> None:
    async def scenario() -> None:
        async with publishing(mosquitto.port):
            pass
        sockets = len(os.listdir("/proc/self/fd"))
        for delay in (0, 0.001, 0.005, 0.02, 0.1):
            async with publishing(mosquitto.port):
                await asyncio.sleep(delay)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert len(os.listdir("/proc/self/fd")) == sockets

    asyncio.run(scenario())


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="counts open files by /proc")
def test_it_ends_and_closes_its_socket_though_the_broker_lets_nothing_through(
    mosquitto: Mosquitto,
) -> None:
    async def scenario() -> None:
        async with publishing(mosquitto.port):
            pass  # the thread that connects has its files now
        files = len(os.listdir("/proc/self/fd"))
        async with publishing(mosquitto.port) as (publisher, errors):
            async with asyncio.timeout(5):
                await publisher.online.wait()
            mosquitto.freeze()
            # More than the sockets hold, so that not even the goodbye can be written.
            publisher.publish(Message("t/final", bytes(32 << 20), qos=1))
            await asyncio.sleep(0.2)
            assert not errors
            started = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() - started < 5
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert len(os.listdir("/proc/self/fd")) == files

    asyncio.run(scenario())


def test_a_broker_that_accepts_and_says_nothing_leaves_no_task_behind(mosquitto: Mosquitto) -> None:
    async def scenario() -> None:
        mosquitto.freeze()
        async with publishing(mosquitto.port) as (_, errors):
            async with asyncio.timeout(5):
                await errors.some.wait()
            await asyncio.sleep(0.3)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(scenario())
