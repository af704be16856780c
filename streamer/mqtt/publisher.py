"""Publishes in order, through broken connections."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable

import aiomqtt

from streamer.errors import OutputError, StreamerError
from streamer.mqtt.broker import Broker, Retry, connected, exchange
from streamer.mqtt.outbox import Message, Outbox

__all__ = ["OFFLINE", "ONLINE", "Publisher"]

ONLINE = json.dumps({"state": "online"}).encode()
OFFLINE = json.dumps({"state": "offline"}).encode()


class Publisher:
    """One connection to a broker and the messages that wait for it.

    Messages go out one after the other, each acknowledged before the next (QoS 1), so order holds
    and a lost connection can double one message at most. ``state_topic`` carries
    ``{"state": "online"}``, and ``offline`` after the end or, as the last will, after a loss.
    ``on_error`` hears of each outage once and of every outage in which messages were lost.
    """

    def __init__(
        self,
        broker: Broker,
        state_topic: str,
        *,
        limit: int,
        retain_state: bool,
        on_error: Callable[[StreamerError], None],
    ) -> None:
        self.broker = broker
        self.outbox = Outbox(limit)
        self.online = asyncio.Event()
        self._state_topic = state_topic
        self._retain_state = retain_state
        self._on_error = on_error
        self._retry = Retry(broker, on_error)
        self._overflowing = False

    def publish(self, message: Message) -> None:
        """Queue ``message``; never waits."""
        if self.outbox.put(message) and not self._overflowing:
            self._overflowing = True
            self._on_error(
                OutputError(
                    f"{self.outbox.limit} messages wait for the MQTT broker {self.broker}; "
                    "the oldest are being dropped.",
                    code="mqtt.overflow",
                    hint="Give `buffer` a larger value to survive longer outages.",
                )
            )

    async def run(self) -> None:
        """Connect, publish, connect again; until cancelled."""
        while True:
            try:
                await self._session()
            except aiomqtt.MqttError as error:
                self.online.clear()
                self.outbox.retry()
                await self._retry.wait(error)

    async def drain(self, seconds: float) -> int:
        """Wait until everything has been acknowledged; the number of messages left over."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.outbox.emptied()
        return len(self.outbox)

    async def _session(self) -> None:
        will = aiomqtt.Will(self._state_topic, OFFLINE, qos=1, retain=self._retain_state)
        async with connected(self.broker, will=will) as client:
            online = client.publish(self._state_topic, ONLINE, qos=1, retain=self._retain_state)
            await exchange(online)
            self._recovered()
            sending = asyncio.create_task(self._send(client))
            watching = asyncio.create_task(_until_lost(client))
            tasks = (sending, watching)
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            except asyncio.CancelledError:
                if not watching.done():
                    await self._say_goodbye(client)
                raise
            finally:
                for task in tasks:
                    task.cancel()
                outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            for outcome in outcomes:
                if isinstance(outcome, Exception):
                    raise outcome

    async def _send(self, client: aiomqtt.Client) -> None:
        while True:
            message = await self.outbox.take()
            await exchange(client.publish(message.topic, message.payload, qos=message.qos))
            self.outbox.done()

    async def _say_goodbye(self, client: aiomqtt.Client) -> None:
        with contextlib.suppress(aiomqtt.MqttError):
            await client.publish(
                self._state_topic, OFFLINE, qos=1, retain=self._retain_state, timeout=1.0
            )

    def _recovered(self) -> None:
        self._retry.connected()
        self.online.set()
        if self._overflowing:
            self._overflowing = False
            self._on_error(
                OutputError(
                    f"{self.outbox.lost} messages were dropped while the MQTT broker "
                    f"{self.broker} was away.",
                    code="mqtt.lost",
                    hint="Give `buffer` a larger value to survive longer outages.",
                )
            )
            self.outbox.lost = 0


async def _until_lost(client: aiomqtt.Client) -> None:
    """Raises :class:`aiomqtt.MqttError` when the connection breaks."""
    async for _ in client.messages:
        pass
