"""Several processes serve one port: this one accepts, and hands each connection to the idlest."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import multiprocessing
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess

from streamer.errors import InputError, StreamerError
from streamer.serve.handed import CLOSED, READY, hand

__all__ = ["Fleet"]

_log = logging.getLogger("streamer.serve")

START = 180.0
"""Seconds that a process may take until it is ready."""
PATIENCE = 0.5
"""Seconds before a process that has died is started anew; twice as long each time, up to ..."""
LONGEST = 30.0


@dataclass(slots=True)
class _Worker:
    number: int
    process: BaseProcess
    wire: socket.socket
    ready: bool = False
    settled: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once it is ready, or gone before it was."""
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    connections: int = 0
    """Given to it and not closed."""


class Fleet:
    """``count`` processes that run ``work(number, wire)``; both must be picklable.

    A worker reads its connections from ``wire`` (:class:`streamer.serve.handed.Handed`) until
    SIGTERM. One that dies takes its sessions with it and is replaced; the others go on.
    """

    def __init__(self, count: int, work: Callable[[int, socket.socket], None]) -> None:
        if not hasattr(socket, "send_fds"):
            raise InputError(
                "This system cannot hand connections from process to process.",
                code="serve.processes",
                hint="Leave --processes out, or serve on Linux or macOS.",
            )
        self._count, self._work = count, work
        self._workers: list[_Worker] = []
        self._minders: list[asyncio.Task[None]] = []
        self._stopping = False

    @contextlib.asynccontextmanager
    async def serve(self, host: str, port: int, grace: float) -> AsyncIterator[int]:
        """Start, accept until the block ends, end; yields the port. ``grace``: s for the end."""
        listeners = await _listeners(host, port)
        try:
            self._workers = [self._start(number) for number in range(self._count)]
            await self._all_ready()
            self._minders = [asyncio.create_task(self._mind(n)) for n in range(self._count)]
            loop = asyncio.get_running_loop()
            for listener in listeners:
                loop.add_reader(listener, self._accept, listener)
            try:
                yield int(listeners[0].getsockname()[1])
            finally:
                for listener in listeners:
                    loop.remove_reader(listener)
        finally:
            for listener in listeners:
                listener.close()
            await self._stop(grace)

    def _start(self, number: int) -> _Worker:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with theirs:
            process = multiprocessing.get_context("spawn").Process(
                target=self._work, args=(number, theirs), name=f"streamer {number}"
            )
            process.start()
        worker = _Worker(number, process, ours)
        asyncio.get_running_loop().add_reader(ours, self._listen, worker)
        return worker

    def _listen(self, worker: _Worker) -> None:
        try:
            told = worker.wire.recv(4096)
        except BlockingIOError:
            return
        except OSError:
            told = b""
        worker.ready |= READY in told
        if worker.ready or not told:
            worker.settled.set()
        worker.connections -= told.count(CLOSED)
        if not told:
            asyncio.get_running_loop().remove_reader(worker.wire)
            worker.wire.close()
            worker.gone.set()

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(64):  # then the loop's other work has its turn
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                able = [w for w in self._workers if w.ready and not w.gone.is_set()]
                for worker in sorted(able, key=lambda worker: worker.connections):
                    if hand(worker.wire, connection):
                        worker.connections += 1
                        break

    async def _all_ready(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(START):
                for worker in self._workers:
                    await worker.settled.wait()
        if not all(worker.ready for worker in self._workers):
            raise StreamerError(
                "A process of the service did not start.",
                code="serve.process",
                hint="What it said stands above; without --processes it may be plainer.",
            )

    async def _mind(self, number: int) -> None:
        """Replace the worker whenever it ends."""
        patience = PATIENCE
        while True:
            worker = self._workers[number]
            await worker.gone.wait()
            await asyncio.to_thread(worker.process.join)
            if self._stopping:
                return
            _log.error(
                "process %d of the service ended (%s); it is started anew",
                number,
                worker.process.exitcode,
            )
            patience = PATIENCE if worker.ready else min(2 * patience, LONGEST)
            await asyncio.sleep(patience)
            self._workers[number] = self._start(number)

    async def _stop(self, grace: float) -> None:
        self._stopping = True
        for minder in self._minders:
            minder.cancel()
        await asyncio.gather(*self._minders, return_exceptions=True)
        for worker in self._workers:
            worker.process.terminate()
        ends = [asyncio.to_thread(w.process.join, grace + 5.0) for w in self._workers]
        await asyncio.gather(*ends)
        for worker in self._workers:
            if worker.process.is_alive():
                worker.process.kill()
                await asyncio.to_thread(worker.process.join)
            if not worker.gone.is_set():
                asyncio.get_running_loop().remove_reader(worker.wire)
                worker.wire.close()


async def _listeners(host: str, port: int) -> list[socket.socket]:
    """One for each address of ``host``, all at one port."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(
        host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    made: list[socket.socket] = []
    try:
        for family, _, _, _, address in dict.fromkeys(found):
            at = (address[0], made[0].getsockname()[1] if made else port)
            made.append(socket.create_server(at, family=family, backlog=1024))
            made[-1].setblocking(False)
    except BaseException:
        for listener in made:
            listener.close()
        raise
    return made
