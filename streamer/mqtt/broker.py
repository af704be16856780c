"""A connection to a broker, and what went wrong with it in plain words."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

import aiomqtt

from streamer.errors import OutputError, StreamerError

__all__ = ["Broker", "Retry", "connected", "exchange"]

R = TypeVar("R")
_NO_DELAY = ((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),)
_SETTLED = 10.0


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
        try:
            await asyncio.shield(attempt)
        except asyncio.CancelledError:
            await asyncio.wait([attempt])
            if attempt.exception() is None:
                await _disconnect(client)
            raise
        try:
            yield client
        finally:
            await _disconnect(client)
    finally:
        _hang_up(client)


async def _disconnect(client: aiomqtt.Client) -> None:
    """Say goodbye. That it failed must not take the place of a cancellation under way."""
    with contextlib.suppress(aiomqtt.MqttError):
        await exchange(client.__aexit__(None, None, None))


def _hang_up(client: aiomqtt.Client) -> None:
    """Close the socket that aiomqtt leaves open when the broker did not answer in time."""
    mqtt: Any = client._client
    while (connection := mqtt.socket()) is not None:
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
        mqtt.loop_read()


async def exchange(work: Coroutine[Any, Any, R]) -> R:
    """Await ``work`` of an aiomqtt client so that a cancellation is never lost.

    aiomqtt waits with :func:`asyncio.wait_for`, which until Python 3.12 drops a cancellation that
    comes in the same turn of the loop as the broker's answer (CPython issue 81839).
    """
    task = asyncio.create_task(work)
    try:
        await asyncio.wait([task])
    except asyncio.CancelledError:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()
        raise
    return task.result()


class Retry:
    """Waits between attempts to connect: 0.2 s, 0.4 s, ... up to 10 s; tells of each outage once.

    A connection that held for less than 10 s does not end an outage.
    """

    def __init__(self, broker: Broker, on_error: Callable[[StreamerError], None]) -> None:
        self._broker = broker
        self._on_error = on_error
        self._attempt = 0
        self._told = ""
        self._up: float | None = None

    def connected(self) -> None:
        """An attempt has succeeded."""
        self._up = asyncio.get_running_loop().time()

    async def wait(self, error: aiomqtt.MqttError) -> None:
        """An attempt has failed, or the connection broke."""
        if self._up is not None and asyncio.get_running_loop().time() - self._up > _SETTLED:
            self._attempt, self._told = 0, ""
        self._up = None
        problem = _explain(self._broker, error)
        if problem.code != self._told:
            self._told = problem.code
            self._on_error(problem)
        await asyncio.sleep(min(0.2 * 2.0 ** min(self._attempt, 10), 10.0))
        self._attempt += 1


def _explain(broker: Broker, error: aiomqtt.MqttError) -> OutputError:
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
