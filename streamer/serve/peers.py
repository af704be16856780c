"""What the processes of one service ask of each other, through Unix sockets in one folder."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from dataclasses import dataclass
from pathlib import Path

from websockets.asyncio.client import ClientConnection, unix_connect
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

__all__ = ["Peers", "add_up", "relay"]

ABNORMAL, NO_CODE = 1006, 1005
LARGEST = ("_info", "start_time_seconds", "_oldest_seconds", "_max_fds")
"""Endings of metrics that are not added up: the largest counts."""


@dataclass(frozen=True, slots=True)
class Peers:
    """The processes 0 to ``count`` - 1 of a service, of which this is ``number``."""

    number: int
    count: int
    folder: Path
    """Nobody else may read it."""

    def path(self, number: int) -> Path:
        """Where the process listens for the others."""
        return self.folder / f"{number}.sock"

    def listen(self) -> socket.socket:
        """This process's own socket."""
        path = self.path(self.number)
        path.unlink(missing_ok=True)  # of a process that has died
        made = socket.socket(socket.AF_UNIX)
        made.bind(str(path))
        return made

    def name(self, session: str) -> str:
        """A session's name, in which every process sees whose it is."""
        return f"{self.number}-{session}"

    def home(self, session: str) -> Path | None:
        """Where the session of that name lives, if that is another process."""
        number, dash, _ = session.partition("-")
        others = {str(n) for n in range(self.count)} - {str(self.number)}
        return self.path(int(number)) if dash and number in others else None

    async def metrics(self) -> bytes:
        """The ``/metrics`` of all processes, added up; of one that is away nothing."""
        texts = await asyncio.gather(
            *(_get(self.path(n), "/metrics") for n in range(self.count)), return_exceptions=True
        )
        return add_up([text for text in texts if isinstance(text, str)])


async def relay(socket: ServerConnection, home: Path, first: str) -> bool:
    """Let the client talk to the process at ``home``; False if that cannot be reached.

    When either side ends, so does the other, in the same way.
    """
    try:
        peer = await unix_connect(
            str(home), uri="ws://peer/v1/stream", compression=None, max_size=None, proxy=None
        )
    except OSError:
        return False
    async with peer:
        with contextlib.suppress(ConnectionClosed):
            await peer.send(first)
        await asyncio.gather(_pump(socket, peer), _pump(peer, socket))
    return True


async def _pump(
    source: ServerConnection | ClientConnection, target: ServerConnection | ClientConnection
) -> None:
    with contextlib.suppress(ConnectionClosed):
        async for message in source:
            await target.send(message)
    await source.wait_closed()
    if source.close_code == ABNORMAL:
        target.transport.abort()
    else:
        code = source.close_code
        await target.close(
            1000 if code is None or code == NO_CODE else code, source.close_reason or ""
        )


async def _get(path: Path, target: str) -> str:
    """A page of the process that listens at ``path``. Raises OSError, TimeoutError, ValueError."""
    async with asyncio.timeout(5):
        reader, writer = await asyncio.open_unix_connection(str(path))
        with contextlib.closing(writer):
            writer.write(f"GET {target} HTTP/1.1\r\nHost: peer\r\n\r\n".encode())
            head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise ValueError(head[:40])
    return body.decode()


def add_up(texts: list[str]) -> bytes:
    """Several texts in the Prometheus format as one: samples of the same name and labels summed.

    What has no sum (a time, an age, an info) is the largest.
    """
    heads: dict[str, list[str]] = {}
    families: dict[str, dict[str, float]] = {}
    for text in texts:
        head: list[str] = []
        name = ""
        for line in text.splitlines():
            if line.startswith("#"):
                found = line.split(" ", 3)[2] if line.count(" ") >= 2 else ""
                if found != name:
                    name, head = found, heads.setdefault(found, [])
                if line not in head:
                    head.append(line)
                continue
            key, _, value = line.rpartition(" ")
            samples = families.setdefault(name, {})
            known = samples.get(key)
            largest = key.partition("{")[0].endswith(LARGEST)
            samples[key] = (
                float(value)
                if known is None
                else max(known, float(value))
                if largest
                else known + float(value)
            )
    lines = [
        line
        for name, head in heads.items()
        for line in (*head, *(f"{key} {value!r}" for key, value in families.get(name, {}).items()))
    ]
    return ("\n".join(lines) + "\n").encode()
