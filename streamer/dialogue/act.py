"""Actions: a message on MQTT, a call of an address."""

from __future__ import annotations

import asyncio
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from streamer.dialogue.rules import Action, HttpAction, MqttAction, fill
from streamer.errors import OutputError

__all__ = ["Hands"]

LONGEST_RESULT = 2000
"""Bytes of an HTTP answer that are looked at."""


@dataclass(frozen=True, slots=True)
class Hands:
    """Carries out actions. ``call`` runs a blocking function on a thread."""

    call: Callable[..., Awaitable[Any]]
    broker: str = "localhost"
    port: int = 1883
    username: str | None = None
    password: str | None = None

    async def act(self, action: Action, values: Mapping[str, str]) -> str:
        """What came back, if anything; ``values`` fill the braces. OutputError ``brain.action``."""
        if isinstance(action, HttpAction):
            return str(await self.call(_call, action, dict(values)))
        assert isinstance(action, MqttAction)
        topic, payload = fill(action.mqtt, values), fill(action.payload, values)
        await self._publish(topic, payload, action.qos)
        return ""

    async def _publish(self, topic: str, payload: str, qos: int) -> None:
        try:
            import aiomqtt

            from streamer.mqtt.broker import Broker, connected, exchange
        except ImportError as error:
            raise OutputError(
                "MQTT actions need the package aiomqtt.",
                code="mqtt.not-installed",
                hint="pip install 'streamer[mqtt]'",
            ) from error
        broker = Broker(
            self.broker, self.port, username=self.username, password=self.password, timeout=2.0
        )
        try:
            async with asyncio.timeout(3), connected(broker) as client:
                await exchange(client.publish(topic, payload.encode(), qos=qos))
        except (aiomqtt.MqttError, TimeoutError) as error:
            raise OutputError(
                f"The MQTT broker {broker} did not take the message for {topic!r}: {error}.",
                code="brain.action",
                hint="The person was told that it did not work.",
            ) from error


def _call(action: HttpAction, values: dict[str, str]) -> str:
    url = fill(action.http, {k: quote(v) for k, v in values.items()})
    body = fill(action.body, values).encode() if action.body else None
    try:
        if not url.startswith(("http://", "https://")):
            raise ValueError("only http and https are called")
        request = urllib.request.Request(url, data=body, method=action.method)
        with urllib.request.urlopen(request, timeout=action.timeout) as answer:
            return str(answer.read(LONGEST_RESULT).decode("utf-8", "replace")).strip()
    except (OSError, ValueError) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        raise OutputError(
            f"{url} could not be called: {error}.",
            code="brain.action",
            hint="The person was told that it did not work.",
        ) from error
