"""Connections that another process has accepted, as a listening socket for asyncio."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from typing import Any

__all__ = ["CLOSED", "READY", "Handed", "hand"]

READY, CLOSED = b"r", b"."
"""What a worker tells: that it takes connections; that one it was given has been closed."""


def hand(wire: socket.socket, connection: socket.socket) -> bool:
    """Give ``connection`` away through ``wire``; False if nobody there can take it now."""
    try:
        socket.send_fds(wire, [b"c"], [connection.fileno()])
    except OSError:
        return False
    return True


class Handed(socket.socket):
    """The worker's end of a pair of Unix sockets: what :func:`hand` puts in, ``accept`` takes out.

    asyncio's event loop asks no more of a listening socket than ``listen`` and ``accept``.
    """

    def __init__(self, wire: socket.socket, on_gone: Callable[[], object]) -> None:
        super().__init__(fileno=wire.detach())
        self.setblocking(False)
        self._on_gone = on_gone

    def listen(self, backlog: int = 0, /) -> None:
        self.tell(READY)

    def accept(self) -> tuple[socket.socket, Any]:
        """The next connection and its peer's address."""
        data, fds, _, _ = socket.recv_fds(self, 1, 1)
        if not data:  # the other process has ended
            asyncio.get_running_loop().remove_reader(self.fileno())
            self._on_gone()
        if not fds:
            if data:  # too many open files: it is lost
                self.tell(CLOSED)
            raise BlockingIOError
        connection = _Connection(fds[0], self)
        with contextlib.suppress(OSError):
            return connection, connection.getpeername()
        connection.close()  # the client has gone already
        raise BlockingIOError

    def tell(self, what: bytes) -> None:
        with contextlib.suppress(OSError):
            self.send(what)


class _Connection(socket.socket):
    """Tells when it is closed."""

    def __init__(self, fd: int, home: Handed) -> None:
        super().__init__(fileno=fd)
        self._home = home

    def close(self) -> None:
        if self.fileno() >= 0:
            self._home.tell(CLOSED)
        super().close()
