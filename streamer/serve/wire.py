"""What the adapters of foreign protocols have in common."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import numpy as np
from websockets.asyncio.server import ServerConnection

from streamer.errors import InputError
from streamer.nodes.session import Delivery
from streamer.packets import Transcript
from streamer.serve.formats import AudioIn, open_audio
from streamer.serve.sessions import Session, Sessions

__all__ = ["Wire", "open_wire", "receive", "refuse_wrong_float", "stable_delta"]

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


def refuse_wrong_float(data: bytes) -> None:
    """Raise if ``data`` can hardly be float32 audio: 16-bit samples read as floats are absurd."""
    if len(data) % 4:
        raise InputError(
            f"A message of {len(data)} bytes does not hold whole float32 samples.",
            code="serve.bad-format",
            hint="Send little-endian float32 at 16 kHz, mono.",
        )
    samples = np.frombuffer(data, "<f4")
    with np.errstate(invalid="ignore"):
        strange = ~np.isfinite(samples) | (np.abs(samples) > 16)
        strange |= (samples != 0) & (np.abs(samples) < 1e-20)
    if samples.size and strange.mean() > 0.05:
        raise InputError(
            "The samples are not float32 audio; they look like 16-bit integers.",
            code="serve.bad-format",
            hint="Send little-endian float32 in -1..1.",
        )


def stable_delta(transcript: Transcript, sent: str) -> str:
    """What may be appended to ``sent``, for protocols that cannot take words back."""
    stable = transcript.text if transcript.final else transcript.stable
    return stable[len(sent) :] if stable.startswith(sent) else ""
