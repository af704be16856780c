"""A real mosquitto on a free loopback port, to be stopped, killed and started again."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiomqtt
import pytest

BINARY = shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Mosquitto:
    """``lines`` are added to the configuration; state is not kept between starts."""

    def __init__(self, folder: Path, *lines: str, anonymous: bool = True) -> None:
        if BINARY is None:
            pytest.skip("mosquitto is not installed")
        self.port = free_port()
        self.config = folder / "mosquitto.conf"
        self.config.write_text(
            "\n".join(
                [
                    f"listener {self.port} 127.0.0.1",
                    f"allow_anonymous {str(anonymous).lower()}",
                    "set_tcp_nodelay true",
                    "user root",
                    *lines,
                    "",
                ]
            )
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        assert BINARY is not None
        self._process = subprocess.Popen(
            [BINARY, "-c", str(self.config)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 10
        while True:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            if self._process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"mosquitto does not start: {self.config.read_text()}")
            time.sleep(0.02)

    def freeze(self) -> None:
        """The sockets stay open, nobody answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
            self._process.wait()
            self._process = None


class Mailbox:
    """What a subscriber, unrelated to our code, has received."""

    def __init__(self) -> None:
        self.messages: list[aiomqtt.Message] = []
        self._changed = asyncio.Event()
        self._reading: asyncio.Task[None] | None = None

    def on(self, suffix: str) -> list[bytes]:
        return [bytes(m.payload) for m in self.messages if m.topic.value.endswith(suffix)]

    async def until(self, suffix: str, count: int, seconds: float = 10.0) -> list[bytes]:
        """Wait for ``count`` messages on topics that end so."""
        async with asyncio.timeout(seconds):
            while len(self.on(suffix)) < count:
                self._changed.clear()
                await self._changed.wait()
        return self.on(suffix)

    async def to_the_end(self, suffix: str) -> list[bytes]:
        """Everything that still came in before the connection broke."""
        assert self._reading is not None
        await asyncio.wait([self._reading], timeout=10)
        return self.on(suffix)

    def start(self, client: aiomqtt.Client) -> asyncio.Task[None]:
        self._reading = asyncio.create_task(self._read(client))
        return self._reading

    async def _read(self, client: aiomqtt.Client) -> None:
        async for message in client.messages:
            self.messages.append(message)
            self._changed.set()


@contextlib.asynccontextmanager
async def subscribed(port: int, topic: str = "#") -> AsyncIterator[Mailbox]:
    async with aiomqtt.Client("127.0.0.1", port) as client:
        await client.subscribe(topic, qos=1)
        mailbox = Mailbox()
        reading = mailbox.start(client)
        try:
            yield mailbox
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
