"""Receives a topic, through broken connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Any

import aiomqtt

from streamer.errors import StreamerError
from streamer.mqtt.broker import Broker, Retry, connected, exchange

__all__ = ["Arrival", "listen"]


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message and the loop time (s) at which it came in. ``dropped``: messages lost before it,
    because the reader was too slow."""

    topic: str
    payload: bytes
    time: float
    dropped: int = 0


class _Arrivals(asyncio.Queue[Any]):
    """Notes when each message came in; when full it drops the oldest and counts it."""

    def __init__(self, maxsize: int = 0) -> None:
        super().__init__(maxsize)
        self._dropped = 0

    def put_nowait(self, item: aiomqtt.Message) -> None:
        if self.full():
            self.get_nowait()
            self._dropped += 1
        payload = item.payload if isinstance(item.payload, bytes) else b""
        now = asyncio.get_running_loop().time()
        super().put_nowait(Arrival(item.topic.value, payload, now, self._dropped))
        self._dropped = 0


async def listen(
    broker: Broker,
    topics: list[str],
    *,
    qos: int,
    limit: int,
    on_error: Callable[[StreamerError], None],
) -> AsyncGenerator[Arrival, None]:
    """Messages of ``topics``, forever; at most ``limit`` wait, then the oldest is dropped.

    What is published while the connection is away is not received. ``on_error`` hears of each
    outage once.
    """
    retry = Retry(broker, on_error)
    while True:
        try:
            async with connected(
                broker, queue_type=_Arrivals, max_queued_incoming_messages=limit
            ) as client:
                await exchange(client.subscribe([(topic, qos) for topic in topics]))
                retry.connected()
                async for arrival in client.messages:
                    yield arrival  # type: ignore[misc]  # our queue holds arrivals
        except aiomqtt.MqttError as error:
            await retry.wait(error)
