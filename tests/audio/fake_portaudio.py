"""A PortAudio whose device the test turns by hand."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import numpy as np


class PortAudioError(Exception):
    pass


class FakePortAudio:
    """The part of the ``sounddevice`` module that streamer uses, with one microphone."""

    PortAudioError = PortAudioError

    def __init__(self) -> None:
        self.default = SimpleNamespace(device=(1, 0))
        self.streams: list[FakeStream] = []
        self.busy = False
        self.rates: set[int] | None = None
        """Those the devices know; None: all."""

    def query_hostapis(self):
        return ({"name": "ALSA"},)

    def query_devices(self):
        shared = {"hostapi": 0, "default_samplerate": 48000.0}
        return [
            {"name": "Speaker", "max_input_channels": 0, "max_output_channels": 2} | shared,
            {"name": "Blue Yeti", "max_input_channels": 2, "max_output_channels": 0} | shared,
            {"name": "Webcam C920", "max_input_channels": 1, "max_output_channels": 0} | shared,
        ]

    def InputStream(self, **settings):  # noqa: N802
        if self.busy:
            raise PortAudioError("Device unavailable [PaErrorCode -9985]")
        if self.rates is not None and settings["samplerate"] not in self.rates:
            raise PortAudioError("Invalid sample rate [PaErrorCode -9997]")
        self.streams.append(FakeStream(**settings))
        return self.streams[-1]

    def OutputStream(self, **settings):  # noqa: N802
        return self.InputStream(**settings)


class FakeStream:
    def __init__(self, **settings) -> None:
        self.settings = settings
        self.active = False
        self.closed = False
        self.adc = 100.0
        self.count = 0

    def start(self):
        self.active = True

    def close(self):
        self.active, self.closed = False, True

    def speak(self, blocks=1, *, age=0.005, overflow=False, lost=0.0):
        """Call back from another thread, as PortAudio does; samples count up from 0."""
        thread = threading.Thread(target=self._speak, args=(blocks, age, overflow, lost))
        thread.start()
        thread.join(5)
        assert not thread.is_alive(), "the callback blocked"

    def _speak(self, blocks, age, overflow, lost):
        frames, rate = self.settings["blocksize"], self.settings["samplerate"]
        self.adc += lost
        for _ in range(blocks):
            values = np.arange(self.count, self.count + frames, dtype=np.float32)
            buffer = np.repeat(values[:, None], self.settings["channels"], axis=1)
            time_info = SimpleNamespace(
                inputBufferAdcTime=self.adc, currentTime=self.adc + frames / rate + age
            )
            status = SimpleNamespace(input_overflow=overflow)
            self.settings["callback"](buffer, frames, time_info, status)
            buffer[:] = -1  # PortAudio reuses its buffer
            self.adc += frames / rate
            self.count += frames

    def listen(self, blocks=1):
        """What is heard of the next blocks: the mean of all channels."""
        heard = []

        def turn():
            for _ in range(blocks):
                buffer = np.full((self.settings["blocksize"], self.settings["channels"]), 9, "f4")
                self.settings["callback"](buffer, len(buffer), None, None)
                heard.append(buffer.mean(axis=1))

        thread = threading.Thread(target=turn)
        thread.start()
        thread.join(5)
        assert not thread.is_alive(), "the callback blocked"
        return np.concatenate(heard)

    def unplug(self):
        self.active = False
        self.settings["finished_callback"]()
