"""A connection to a broker, and what went wrong with it in plain words."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import aiomqtt

from streamer.errors import OutputError

__all__ = ["Broker", "backoff", "connected", "explain"]

_NO_DELAY = ((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),)


@dataclass(frozen=True, slots=True)
class Broker:
    """Where the broker is and who we are. ``timeout`` (s) bounds each exchange with it."""

    host: str
    port: int = 1883
    client_id: str | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: ssl.SSLContext | None = None
    keepalive: int = 15
    timeout: float = 5.0

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@contextlib.asynccontextmanager
async def connected(broker: Broker, **options: Any) -> AsyncIterator[aiomqtt.Client]:
    """A client that is connected; ``options`` go to :class:`aiomqtt.Client`.

    Raises :class:`aiomqtt.MqttError`. A cancelled attempt is still seen through (it takes at most
    the time-out) so that no socket is left behind.
    """
    client = aiomqtt.Client(
        broker.host,
        broker.port,
        identifier=broker.client_id,
        username=broker.username,
        password=broker.password,
        tls_context=broker.tls,
        keepalive=broker.keepalive,
        timeout=broker.timeout,
        socket_options=_NO_DELAY,
        **options,
    )
    attempt = asyncio.create_task(client.__aenter__())
    try:
        await asyncio.shield(attempt)
    except asyncio.CancelledError:
        await asyncio.wait([attempt])
        if attempt.exception() is None:
            await client.__aexit__(None, None, None)
        raise
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_exit(client.__aexit__)
        yield client


def backoff(attempt: int) -> float:
    """Seconds to wait before attempt 1, 2, ...: 0.2, 0.4, ... up to 10."""
    return min(0.2 * 2.0 ** min(attempt - 1, 10), 10.0)


def explain(broker: Broker, error: aiomqtt.MqttError) -> OutputError:
    """The error for people to read; the connection will be tried again."""
    if isinstance(error, aiomqtt.exceptions.MqttConnectError):
        return OutputError(
            f"The MQTT broker {broker} refuses the connection: {error}.",
            code="mqtt.refused",
            hint="Check the user name, the password and the client id.",
        )
    return OutputError(
        f"The MQTT broker {broker} cannot be reached: {error}.",
        code="mqtt.unreachable",
        hint="The graph goes on and keeps trying.",
    )
