"""Audio as clients send it: raw PCM, G.711, or Opus in Ogg or WebM as browsers record it."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

import av
import numpy as np

from streamer.audio.g711 import decode_alaw, decode_mulaw
from streamer.errors import InputError
from streamer.packets import Samples

__all__ = ["CONTAINERS", "FORMATS", "AudioIn", "open_audio"]

Sink = Callable[[Samples], Coroutine[Any, Any, None]]

CONTAINER_RATE = 16000
CONTAINERS = ("ogg", "webm")


def _int16(data: bytes) -> Samples:
    return np.frombuffer(data, "<i2").astype(np.float32) / np.float32(32768)


def _float32(data: bytes) -> Samples:
    samples = np.frombuffer(data, "<f4").astype(np.float32)
    return samples if np.isfinite(samples).all() else np.nan_to_num(samples, posinf=0, neginf=0)


_RAW: dict[str, tuple[int, Callable[[bytes], Samples]]] = {
    "s16le": (2, _int16),
    "f32le": (4, _float32),
    "mulaw": (1, decode_mulaw),
    "alaw": (1, decode_alaw),
}
FORMATS = (*_RAW, *CONTAINERS)


class AudioIn(Protocol):
    """Takes a client's bytes in any portions and hands samples to its sink."""

    rate: int

    async def push(self, data: bytes) -> None:
        """Decode ``data``; waits while the sink is full."""

    async def finish(self) -> None:
        """Decode what is left."""

    def close(self) -> None:
        """Give everything back at once; may be called at any time."""


def open_audio(form: str, rate: int, channels: int, sink: Sink) -> AudioIn:
    """The decoder for a format of :data:`FORMATS`.

    Raises :class:`InputError` (``serve.bad-format``) for what cannot be right: a wrong sample
    rate is refused, never transcribed as noise.
    """
    if form not in FORMATS:
        raise _bad(f"the format {form!r} is unknown", f"Use one of {', '.join(FORMATS)}.")
    if form in CONTAINERS:
        return _Container(form, sink)
    if not 8000 <= rate <= 192000:
        raise _bad(f"a sample rate of {rate} Hz is out of range", "Use 8000 to 192000.")
    if not 1 <= channels <= 8:
        raise _bad(f"{channels} channels cannot be right", "Use 1 to 8.")
    return _Raw(form, rate, channels, sink)


def _bad(what: str, hint: str) -> InputError:
    return InputError(f"The audio cannot be read: {what}.", code="serve.bad-format", hint=hint)


def _refuse_wrong_type(form: str, data: bytes) -> None:
    """Raise if the bytes look like another type of sample.

    16-bit integers read as floats are absurd (NaN, or far from 1), and floats of audio are nearly
    all between 1e-6 and 1, which pairs of 16-bit integers hardly ever are.
    """
    if form not in ("s16le", "f32le"):
        return
    samples = np.frombuffer(data[: len(data) // 4 * 4], "<f4")
    samples = samples[samples != 0]
    with np.errstate(invalid="ignore"):
        size = np.abs(samples)
        if form == "f32le" and samples.size and np.mean((size > 1e-20) & (size < 16)) < 0.95:
            raise _bad(
                "the samples are not float32, they look like 16-bit integers",
                "Send little-endian float32 in -1..1.",
            )
        if form == "s16le" and samples.size >= 64 and np.mean((size > 1e-6) & (size <= 1)) > 0.95:
            raise _bad(
                "the samples are not 16-bit integers, they look like float32",
                "Send little-endian 16-bit integers.",
            )


class _Raw:
    """Interleaved samples; a frame cut by a message boundary waits for its rest."""

    def __init__(self, form: str, rate: int, channels: int, sink: Sink) -> None:
        self.rate = rate
        self._form = form
        width, self._decode = _RAW[form]
        self._frame = width * channels
        self._unchecked = rate * self._frame
        """Bytes left of the first second, in which the sample type is looked at."""
        self._channels = channels
        self._sink = sink
        self._rest = b""

    async def push(self, data: bytes) -> None:
        data = self._rest + data
        whole = len(data) - len(data) % self._frame
        self._rest = data[whole:]
        if whole and self._unchecked > 0:
            self._unchecked -= whole
            _refuse_wrong_type(self._form, data[:whole])
        if whole:
            await self._sink(self._decode(data[:whole]).reshape(-1, self._channels))

    async def finish(self) -> None:
        if self._rest:
            raise _bad(
                f"the stream ends with {len(self._rest)} bytes of an incomplete sample",
                "Check the sample format and the number of channels.",
            )

    def close(self) -> None:
        self._rest = b""


class _Pipe:
    """A file that a decoder thread reads and the event loop fills; bounded."""

    def __init__(self) -> None:
        self._parts: queue.Queue[bytes] = queue.Queue(maxsize=64)
        self._rest = b""
        self._ended = False

    def try_put(self, data: bytes) -> bool:
        """Whether there was room; empty bytes end the file."""
        try:
            self._parts.put_nowait(data)
        except queue.Full:
            return False
        return True

    def end(self) -> None:
        """End the file now, whatever waits."""
        while not self.try_put(b""):
            with contextlib.suppress(queue.Empty):
                self._parts.get_nowait()

    def read(self, size: int = -1) -> bytes:
        """Called by FFmpeg on the decoder thread; once ended, the file stays at its end."""
        if not self._rest and not self._ended:
            self._rest = self._parts.get()
            self._ended = not self._rest
        part, self._rest = self._rest[:size], self._rest[size:]
        return part


class _Container:
    """Ogg or WebM, decoded by FFmpeg on a thread of its own to 16 kHz mono."""

    rate = CONTAINER_RATE

    def __init__(self, form: str, sink: Sink) -> None:
        self._form = form
        self._sink = sink
        self._pipe = _Pipe()
        self._closed = False
        self._loop = asyncio.get_running_loop()
        self._done: asyncio.Future[None] = self._loop.create_future()
        self._done.add_done_callback(lambda done: done.cancelled() or done.exception())
        threading.Thread(target=self._run, name=f"decode {form}", daemon=True).start()

    async def push(self, data: bytes) -> None:
        if data:
            await self._put(data)
        if self._done.done():
            self._done.result()

    async def finish(self) -> None:
        await self._put(b"")
        await asyncio.shield(self._done)

    async def _put(self, data: bytes) -> None:
        """Wait for room; a decoder that has ended takes nothing more."""
        while not self._done.done():
            if self._pipe.try_put(data):
                return
            await asyncio.sleep(0.02)

    def close(self) -> None:
        self._closed = True
        self._pipe.end()

    def _run(self) -> None:
        error: InputError | None = None
        try:
            self._decode()
        except InputError as failure:
            error = failure
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._settle, error)

    def _settle(self, error: InputError | None) -> None:
        if not self._done.done():
            if error is None:
                self._done.set_result(None)
            else:
                self._done.set_exception(error)

    def _decode(self) -> None:
        try:
            with av.open(self._pipe, "r", format=self._form) as container:
                resampler = av.AudioResampler("flt", "mono", CONTAINER_RATE)
                for frame in container.decode(audio=0):
                    self._emit(resampler.resample(frame))
                self._emit(resampler.resample(None))
        except (av.FFmpegError, IndexError, ValueError) as error:
            raise _bad(f"it is not a readable {self._form} stream ({error})", "") from error

    def _emit(self, frames: list[Any]) -> None:
        for frame in frames:
            if self._closed:
                return
            samples = frame.to_ndarray().reshape(-1, 1)
            asyncio.run_coroutine_threadsafe(self._sink(samples), self._loop).result()
