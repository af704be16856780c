"""Capture from a microphone: PortAudio's thread fills a bounded ring, asyncio empties it."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from typing import Any

import numpy as np

from streamer.audio._device_stream import DeviceStream
from streamer.audio.devices import find_device, load_backend
from streamer.audio.samples import clean
from streamer.errors import DeviceError
from streamer.packets import AudioFrame

__all__ = ["Microphone"]

_SILENT_AFTER = 1.0
"""Seconds without a callback after which the device counts as lost."""
_CHECK = 0.25


class Microphone(DeviceStream):
    """One open input device.

    ``device``: index, part of a name, or None for the default. ``rate`` in Hz, None for the
    device's own. ``chunk`` and ``backlog`` in seconds: when the reader is late by more than
    ``backlog``, the oldest audio is dropped and the next frame's ``start`` shows the gap; the
    device's thread never waits. ``backend`` stands in for the ``sounddevice`` module.
    """

    def __init__(
        self,
        device: int | str | None = None,
        *,
        rate: int | None = None,
        channels: int = 1,
        chunk: float = 0.02,
        backlog: float = 2.0,
        backend: Any = None,
    ) -> None:
        super().__init__(backend)
        self.rate = rate or 0
        self.channels = channels
        self.chunk = chunk
        self.name = ""
        self._wanted = device
        self._ring: deque[tuple[AudioFrame, int]] = deque(maxlen=max(1, round(backlog / chunk)))
        self._position = 0
        self._expected_adc = 0.0
        self._heard = 0.0

    async def open(self) -> None:
        """Open and start the device.

        Raises DeviceError: ``device.no-portaudio``, ``device.not-found``, ``device.busy``.
        """
        self._loop = asyncio.get_running_loop()
        self._heard = self._loop.time()
        await self._loop.run_in_executor(None, self._open)

    def _open(self) -> None:
        sd = self._backend = self._backend or load_backend()
        device = find_device(self._wanted, sd)
        self.name = device.name
        self.rate = self.rate or device.rate
        try:
            self._stream = sd.InputStream(
                device=device.index,
                samplerate=self.rate,
                channels=self.channels,
                dtype="float32",
                blocksize=max(1, round(self.chunk * self.rate)),
                callback=self._on_audio,
                finished_callback=self._on_finished,
            )
            self._stream.start()
        except sd.PortAudioError as error:
            self._close()
            raise DeviceError(
                f"Microphone {self.name!r} cannot be opened at {self.rate} Hz with "
                f"{self.channels} channels: {error}.",
                code="device.busy",
                hint="Close other programs that use it, or choose another rate or device.",
            ) from error

    async def read(self) -> tuple[AudioFrame, int]:
        """The next frame, and when its newest sample was captured (ns of the loop's clock).

        Raises DeviceError ``device.lost`` within about a second of the device going away;
        what was captured before is given out first.
        """
        while not self._ring:
            self._news.clear()
            if self._ring:
                break
            if self._gone():
                raise DeviceError(
                    f"Microphone {self.name!r} went away.",
                    code="device.lost",
                    hint="Plug it in again; with `restart: on_failure` the graph goes on by "
                    "itself.",
                )
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_CHECK):
                    await self._news.wait()
        return self._ring.popleft()

    def _gone(self) -> bool:
        if self._finished or self._loop.time() - self._heard > _SILENT_AFTER:
            return True
        try:
            return not self._stream.active
        except self._backend.PortAudioError:
            return True

    # -- on PortAudio's thread ---------------------------------------------------------------

    def _on_audio(self, indata: Any, frames: int, time_info: Any, status: Any) -> None:
        now = self._heard = self._loop.time()
        adc = time_info.inputBufferAdcTime
        overflow = bool(status.input_overflow)
        if overflow and self._expected_adc and adc:
            self._position += max(0, round((adc - self._expected_adc) * self.rate))
        samples, _ = clean(np.array(indata, np.float32))
        frame = AudioFrame(samples, self.rate, self._position, overflow)
        self._position = frame.end
        # Some hosts report no ADC time; the callback's own time is the best then.
        self._expected_adc = adc + frames / self.rate if adc else 0.0
        age = max(0.0, time_info.currentTime - self._expected_adc) if adc else 0.0
        self._ring.append((frame, int((now - age) * 1e9)))
        self._wake()
