"""Playing through a loudspeaker: asyncio fills a short ring, PortAudio's thread empties it."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import Any

import numpy as np
import soxr

from streamer.audio._device_stream import DeviceStream
from streamer.audio.devices import Device, find_device, load_backend
from streamer.errors import DeviceError
from streamer.packets import Samples

__all__ = ["Speaker"]

_FADE = 0.005
"""Seconds over which a cut-off sound fades: a hard edge clicks."""
_SILENT_AFTER = 1.0
"""Seconds without a callback after which the device counts as lost."""


class Speaker(DeviceStream):
    """One open output device that takes ``rate`` Hz, mono on all its channels.

    A device that does not know the rate is opened at its own, and the sound converted.
    ``ahead`` (s) is how much sound waits in the ring: little, so that :meth:`silence` is heard at
    once. ``backend`` stands in for the ``sounddevice`` module.
    """

    def __init__(
        self,
        rate: int,
        device: int | str | None = None,
        *,
        ahead: float = 0.04,
        backend: Any = None,
    ) -> None:
        super().__init__(backend)
        self.rate = rate
        self.name = ""
        self.underruns = 0
        """How often the ring ran empty in the middle of a sound."""
        self._wanted = device
        self._ahead, self._limit, self._device_rate = ahead, 0, rate
        self._converter: Any = None
        self._lock = threading.Lock()
        self._ring = np.zeros(0, np.float32)
        self._flowing = False
        self._called = 0.0

    async def open(self) -> None:
        """Raises DeviceError: ``device.no-portaudio``, ``device.not-found``, ``device.busy``."""
        self._loop = asyncio.get_running_loop()
        self._called = self._loop.time()
        await self._loop.run_in_executor(None, self._open)

    def _open(self) -> None:
        sd = self._backend = self._backend or load_backend()
        device = find_device(self._wanted, sd, kind="output")
        self.name = device.name
        try:
            try:
                self._begin(device, self.rate)
            except sd.PortAudioError:
                self._close()
                self._begin(device, device.rate)
                self._converter = soxr.ResampleStream(
                    self.rate, device.rate, 1, dtype="float32", quality="MQ"
                )
        except sd.PortAudioError as error:
            self._close()
            raise DeviceError(
                f"Loudspeaker {self.name!r} cannot be opened at {self.rate} Hz: {error}.",
                code="device.busy",
                hint="Close other programs that use it, or choose another device.",
            ) from error

    def _begin(self, device: Device, rate: int) -> None:
        self._device_rate = rate
        self._limit = int(self._ahead * rate)
        self._stream = self._backend.OutputStream(
            device=device.index,
            samplerate=rate,
            channels=min(device.outputs, 2),
            dtype="float32",
            blocksize=max(1, rate // 100),
            latency="low",
            callback=self._fill,
            finished_callback=self._on_finished,
        )
        self._stream.start()

    async def write(self, samples: Samples) -> None:
        """Play ``samples`` (float32 [n]) next; waits until no more than ``ahead`` is left.

        Raises DeviceError ``device.lost`` within about a second of the device going away.
        """
        if self._converter is not None:
            samples = self._converter.resample_chunk(samples)
        with self._lock:
            self._ring = np.concatenate([self._ring, samples])
            self._flowing = True
        await self.drain(self._limit)

    async def drain(self, left: int = 0) -> None:
        """Wait until at most ``left`` samples are still to be played."""
        while True:
            self._news.clear()
            if self._ring.shape[0] <= left:
                return
            if self._finished or self._loop.time() - self._called > _SILENT_AFTER:
                raise DeviceError(
                    f"Loudspeaker {self.name!r} went away.",
                    code="device.lost",
                    hint="Plug it in again; with `restart: on_failure` the graph goes on by "
                    "itself.",
                )
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.25):
                    await self._news.wait()

    def silence(self) -> int:
        """Forget what has not been played; returns how many samples that were."""
        if self._converter is not None:
            self._converter.clear()
        fade = int(_FADE * self._device_rate)
        with self._lock:
            rest = self._ring[:fade] * np.linspace(1, 0, min(fade, self._ring.shape[0]), dtype="f4")
            dropped = self._ring.shape[0]
            self._ring, self._flowing = rest.astype(np.float32), False
        self._news.set()
        return dropped * self.rate // self._device_rate

    def pause(self) -> None:
        """The sound ends here for now: an empty ring is no underrun."""
        if self._converter is not None:
            tail = self._converter.resample_chunk(np.zeros(0, np.float32), last=True)
            self._converter.clear()
            with self._lock:
                self._ring = np.concatenate([self._ring, tail])
        self._flowing = False

    # -- on PortAudio's thread ---------------------------------------------------------------

    def _fill(self, outdata: Any, frames: int, time_info: Any, status: Any) -> None:
        with self._lock:
            sound, self._ring = self._ring[:frames], self._ring[frames:]
            if self._flowing and sound.shape[0] < frames:
                self.underruns += 1
        outdata[:] = 0
        outdata[: sound.shape[0]] = sound[:, None]
        self._called = self._loop.time()
        self._wake()
