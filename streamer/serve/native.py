"""The native protocol at ``/v1/stream``: audio in, events out, resumable. See docs/protocol.md."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from dataclasses import dataclass, field
from typing import Any

from pydantic import TypeAdapter, ValidationError
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from streamer.errors import InputError, StreamerError
from streamer.serve.admission import RefusedError
from streamer.serve.formats import AudioIn, open_audio
from streamer.serve.gateway import CLOSE_ERROR, CLOSE_POLICY, Client
from streamer.serve.messages import dump, event_object, parse_object
from streamer.serve.patience import Patience
from streamer.serve.peers import Peers, relay
from streamer.serve.replay import Replay
from streamer.serve.schemas import VERSION, End, KeepAlive, Mark, Order, Resume, Start
from streamer.serve.sessions import Session, Sessions

__all__ = ["Native"]

_log = logging.getLogger("streamer.serve")
_orders: TypeAdapter[Mark | KeepAlive | End] = TypeAdapter(Order)

ABNORMAL = 1006
CLOSE_REPLACED = 4000
INTERNAL = "serve.internal"


@dataclass
class _Live:
    """A session with its wire: sent messages are kept while nobody is connected."""

    session: Session
    replay: Replay = field(default_factory=Replay)
    socket: ServerConnection | None = None
    received: int = 0
    """Bytes of audio taken in, so that a resuming client knows where to go on."""
    audio: AudioIn | None = None
    ending: bool = False
    given_up: bool = False
    """Whether the connection was closed on purpose, so that nobody will come back."""
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    reading: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by the one connection that takes audio in."""
    newest: ServerConnection | None = None
    """The last connection that asked to take over."""


class Native:
    """The adapter; one instance serves all connections and remembers dropped sessions."""

    def __init__(self, peers: Peers | None = None) -> None:
        self._peers = peers
        self._live: dict[str, _Live] = {}
        self._keepers: set[asyncio.Task[None]] = set()

    async def __call__(self, client: Client, sessions: Sessions) -> None:
        socket, limits = client.socket, sessions.limits
        start = await self._read_start(client, sessions)
        if start is None:
            return
        if start.resume is not None:
            live = self._live.get(start.resume.session)
            if live is None and await self._elsewhere(socket, start, start.resume):
                return
            if live is None:
                await _fail(socket, _gone())
                return
            old, live.socket, live.newest = live.socket, None, socket
            if old is not None:
                await old.close(CLOSE_REPLACED, "resumed elsewhere")
        else:
            opened: asyncio.Future[_Live] = asyncio.get_running_loop().create_future()
            keeper = asyncio.create_task(self._keep(start, socket, sessions, opened))
            self._keepers.add(keeper)
            keeper.add_done_callback(self._keepers.discard)
            try:
                live = await opened
            except RefusedError as error:
                await socket.send(dump(_error(error)))
                raise
            except StreamerError as error:
                await _fail(socket, error, CLOSE_ERROR if error.code == INTERNAL else CLOSE_POLICY)
                return
        async with live.reading:
            if start.resume is not None and not await self._take_over(live, socket, start.resume):
                return
            try:
                await self._read(live, socket, limits.idle, limits.json_depth)
            finally:
                if live.socket is socket:
                    live.socket = None
                    live.given_up = socket.close_code != ABNORMAL
                    live.changed.set()

    async def _elsewhere(self, socket: ServerConnection, start: Start, resume: Resume) -> bool:
        """Whether the session lived in another process, which has then served the client."""
        home = self._peers.home(resume.session) if self._peers is not None else None
        return home is not None and await relay(socket, home, start.model_dump_json())

    # -- a session's life, longer than a connection's ----------------------------------------

    async def _keep(
        self,
        start: Start,
        socket: ServerConnection,
        sessions: Sessions,
        opened: asyncio.Future[_Live],
    ) -> None:
        """Hold the session open while a client is connected, or may come back."""
        live: _Live | None = None
        try:
            async with sessions.session(start.rate) as session:
                live = _Live(session, socket=socket)
                live.audio = open_audio(start.format, start.rate, start.channels, session.feed)
                with contextlib.closing(live.audio):
                    session.port.rate = live.audio.rate
                    await socket.send(dump(_ready(live)))
                    if opened.done():  # nobody waits any more
                        return
                    opened.set_result(live)
                    await self._hold(live, sessions)
        except Exception as error:
            if not opened.done():
                expected = isinstance(error, StreamerError | ConnectionClosed)
                opened.set_exception(error if expected else _problem(error))
            elif live is not None and live.socket is not None:
                await _fail(live.socket, _problem(error), CLOSE_ERROR)

    async def _hold(self, live: _Live, sessions: Sessions) -> None:
        self._live[live.session.id] = live
        writer = asyncio.create_task(self._write(live))
        writer.add_done_callback(lambda _: live.changed.set())
        sessions.closing.add(live.changed)
        try:
            await self._watch(live, writer, sessions)
        finally:
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)
            sessions.closing.discard(live.changed)
            del self._live[live.session.id]

    async def _watch(self, live: _Live, writer: asyncio.Task[None], sessions: Sessions) -> None:
        """Until all has been written to the client, or a dropped one has not come back."""
        while True:
            live.changed.clear()
            if live.socket is None:
                if live.given_up or sessions.admission.closed:
                    return
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(sessions.limits.resume):
                        while live.socket is None and not sessions.admission.closed:
                            await live.changed.wait()
                            live.changed.clear()
                if live.socket is None:
                    return
            elif writer.done():
                writer.result()
                await live.socket.close(1000)  # a client that came back for the rest
                return
            else:
                await live.changed.wait()

    async def _take_over(self, live: _Live, socket: ServerConnection, resume: Resume) -> bool:
        """Go on with ``socket``, all audio of the old one taken in; False if that is too late."""
        if self._live.get(resume.session) is not live or live.newest is not socket:
            await _fail(socket, _gone())
            return False
        await socket.send(dump(_ready(live)))
        seq = resume.seq
        while missed := live.replay.after(seq):
            for _, text in missed:
                await socket.send(text)
            seq = missed[-1][0]
        live.socket = socket
        live.changed.set()
        return True

    # -- reading and writing -----------------------------------------------------------------

    async def _read_start(self, client: Client, sessions: Sessions) -> Start | None:
        socket = client.socket
        try:
            async with asyncio.timeout(wait := min(10.0, sessions.limits.idle)):
                first = await socket.recv()
            if isinstance(first, bytes):
                raise InputError("Audio came before the start message.", code="serve.no-start")
            start = Start.model_validate(parse_object(first, max_depth=sessions.limits.json_depth))
            if start.version != VERSION:
                raise InputError(
                    f"This server speaks version {VERSION} of the protocol.", code="serve.version"
                )
            return start
        except TimeoutError:
            late = InputError(f"No start message came within {wait:g} s.", code="serve.no-start")
            await _fail(socket, late)
        except ValidationError as error:
            await _fail(socket, _unfit("start", error))
        except StreamerError as error:
            await _fail(socket, error)
        return None

    async def _read(self, live: _Live, socket: ServerConnection, idle: float, depth: int) -> None:
        assert live.audio is not None
        loop = asyncio.get_running_loop()
        try:
            async with Patience(idle) as patience:
                while True:
                    patience.since = None if live.ending else loop.time()
                    message = await socket.recv()
                    patience.since = None
                    if isinstance(message, bytes):
                        if live.ending:
                            raise InputError("Audio came after the end.", code="serve.bad-message")
                        live.received += len(message)
                        await live.audio.push(message)
                    else:
                        await self._obey(live, parse_object(message, max_depth=depth))
        except TimeoutError:
            await _fail(socket, InputError(f"Nothing came for {idle:g} s.", code="serve.idle"))
        except ConnectionClosed:
            pass
        except Exception as error:
            live.ending = True
            problem = _problem(error)
            await _fail(socket, problem, CLOSE_ERROR if problem.code == INTERNAL else CLOSE_POLICY)
            await live.session.abort()

    async def _obey(self, live: _Live, message: dict[str, Any]) -> None:
        assert live.audio is not None
        try:
            order = _orders.validate_python(message)
        except ValidationError as error:
            raise _unfit(str(message.get("type"))[:40], error) from None
        # A client that resumed cannot know whether its first `end` arrived.
        if isinstance(order, Mark):
            await live.session.port.mark(order.id)
        elif isinstance(order, End) and not live.ending:
            live.ending = True
            await live.audio.finish()
            await live.session.end()

    async def _write(self, live: _Live) -> None:
        loop = asyncio.get_running_loop()
        async for delivery in live.session.deliveries():
            await _send(live, event_object(delivery, int(loop.time() * 1e9)))
        failure = live.session.failure
        if failure is not None:
            await _send(live, _error(failure))
        await _send(live, {"type": "done", "audio": round(live.session.audio, 3)})
        if live.socket is not None:
            await live.socket.close(1000 if failure is None else 1011)


async def _send(live: _Live, message: dict[str, Any]) -> None:
    """Number, keep and send; a dropped connection loses nothing, the message is kept."""
    text = live.replay.add(message)
    socket = live.socket
    if socket is not None:
        with contextlib.suppress(ConnectionClosed):
            await socket.send(text)


async def _fail(socket: ServerConnection, error: StreamerError, close: int = CLOSE_POLICY) -> None:
    with contextlib.suppress(ConnectionClosed):
        await socket.send(dump(_error(error)))
        await socket.close(close, error.message.encode()[:120].decode(errors="ignore"))


def _problem(error: Exception) -> StreamerError:
    """What to tell the client of ``error``; what should not happen goes to the log."""
    if isinstance(error, StreamerError):
        return error
    _log.error("a session failed", exc_info=error)
    return StreamerError("The server made a mistake.", code=INTERNAL, hint="Connect again.")


def _unfit(what: str, error: ValidationError) -> InputError:
    detail = error.errors(include_url=False, include_input=False, include_context=False)[0]
    where = ".".join(str(part) for part in detail["loc"])
    return InputError(
        f"The message {what!r} does not fit: {where or 'type'}: {detail['msg']}.",
        code="serve.bad-message",
        hint="See docs/protocol.md.",
    )


def _gone() -> InputError:
    return InputError("There is no such session to resume.", code="serve.no-session")


def _error(error: StreamerError) -> dict[str, Any]:
    return {"type": "error", "code": error.code, "message": error.message, "hint": error.hint}


def _ready(live: _Live) -> dict[str, Any]:
    return {
        "type": "ready",
        "version": VERSION,
        "session": live.session.id,
        "received": live.received,
        "time": time.time(),
    }
