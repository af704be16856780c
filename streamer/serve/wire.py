"""What the adapters of foreign protocols have in common."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

from websockets.asyncio.server import ServerConnection

from streamer.errors import InputError
from streamer.nodes.session import Delivery
from streamer.packets import Transcript
from streamer.serve.formats import AudioIn, open_audio
from streamer.serve.sessions import Session, Sessions

__all__ = ["Wire", "open_wire", "receive", "receive_for", "stable_delta"]

Handler = Callable[[Delivery], Awaitable[None]]


class Wire:
    """A session with its decoder and a task that hands every delivery to ``handler``."""

    def __init__(self, session: Session, audio: AudioIn, handler: Handler) -> None:
        self.session = session
        self.audio = audio
        self._handler = handler
        self._marks: dict[str, asyncio.Event] = {}
        self.reader = asyncio.create_task(self._read(), name=f"deliveries {session.id}")

    async def _read(self) -> None:
        async for delivery in self.session.deliveries():
            if delivery.event is None:
                self._marks.pop(delivery.mark, asyncio.Event()).set()
            else:
                await self._handler(delivery)
        for mark in self._marks.values():
            mark.set()

    async def settle(self) -> None:
        """Until everything fed so far has been worked off and handed over."""
        name = f"settle-{len(self._marks)}-{id(self)}-{asyncio.get_running_loop().time()}"
        event = self._marks[name] = asyncio.Event()
        await self.session.port.mark(name)
        waiter = asyncio.create_task(event.wait())
        await asyncio.wait({waiter, self.reader}, return_when=asyncio.FIRST_COMPLETED)
        waiter.cancel()
        if self.reader.done():
            self.reader.result()
            if self.session.failure is not None:
                raise self.session.failure

    async def end(self) -> None:
        """End the audio and wait for the last delivery; raises what made the session fail."""
        await self.audio.finish()
        await self.session.end()
        await self.reader
        if self.session.failure is not None:
            raise self.session.failure


@contextlib.asynccontextmanager
async def open_wire(
    sessions: Sessions, form: str, rate: int, channels: int, handler: Handler
) -> AsyncIterator[Wire]:
    """A session for audio of that form. Raises when there is no room or the form is wrong."""
    async with sessions.session(rate) as session:
        audio = open_audio(form, rate, channels, session.feed)
        session.port.rate = audio.rate
        wire = Wire(session, audio, handler)
        try:
            yield wire
        finally:
            audio.close()
            wire.reader.cancel()
            await asyncio.gather(wire.reader, return_exceptions=True)


async def receive(socket: ServerConnection, idle: float) -> str | bytes:
    """The next message. Raises ``serve.idle`` when none comes in ``idle`` s."""
    try:
        async with asyncio.timeout(idle):
            return await socket.recv()
    except TimeoutError:
        raise InputError(f"Nothing came for {idle:g} s.", code="serve.idle") from None


async def receive_for(wire: Wire, socket: ServerConnection, idle: float) -> str | bytes | None:
    """The next message; None when the session has ended by itself: the server shuts down.

    Raises what made the session fail, and ``serve.idle`` like :func:`receive`.
    """
    coming = asyncio.create_task(receive(socket, idle))
    try:
        await asyncio.wait({coming, wire.reader}, return_when=asyncio.FIRST_COMPLETED)
        if coming.done():
            return coming.result()
    finally:
        coming.cancel()
        await asyncio.gather(coming, return_exceptions=True)
    wire.reader.result()
    if wire.session.failure is not None:
        raise wire.session.failure
    return None


def stable_delta(transcript: Transcript, sent: str) -> str:
    """What may be appended to ``sent``, for protocols that cannot take words back."""
    stable = transcript.text if transcript.final else transcript.stable
    return stable[len(sent) :] if stable.startswith(sent) else ""
