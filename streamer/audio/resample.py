"""Streaming rate conversion and down-mix that keep media time true."""

from __future__ import annotations

from typing import Any

import numpy as np
import soxr

from streamer.errors import InputError
from streamer.packets import AudioFrame, Samples

__all__ = ["Resampler", "mix"]


def mix(samples: Samples, channels: int) -> Samples:
    """``[frames, n]`` to ``[frames, channels]``: the mean of all channels, repeated if need be."""
    if samples.shape[1] == channels:
        return samples
    mono = samples.mean(axis=1, keepdims=True, dtype=np.float32)
    return mono if channels == 1 else np.repeat(mono, channels, axis=1)


class Resampler:
    """One stream of audio brought to ``rate`` Hz and ``channels`` (soxr, quality HQ).

    The result does not depend on how the input is cut into frames. The filter holds back about
    40 ms until :meth:`flush`. A frame whose ``start`` is not where the last one ended begins
    anew: what came before is flushed and the output's ``start`` follows the input's.
    """

    def __init__(self, rate: int, channels: int = 1) -> None:
        self.rate = rate
        self.channels = channels
        self._in_rate = 0
        self._stream: Any = None
        self._next_in = 0
        self._next_out = 0
        self._overflow = False

    def process(self, frame: AudioFrame) -> list[AudioFrame]:
        """Feed a frame; returns what is ready, oldest first, often nothing.

        Raises InputError (``audio.format-changed``) if the rate changes within the stream.
        """
        if self._in_rate and frame.rate != self._in_rate:
            raise InputError(
                f"The sample rate changed from {self._in_rate} to {frame.rate} Hz in the stream.",
                code="audio.format-changed",
                hint="Convert the input to one rate first.",
            )
        if not frame.samples.shape[0]:
            return []
        done = self.flush() if self._stream is not None and frame.start != self._next_in else []
        if self._stream is None:
            self._begin(frame)
        self._overflow |= frame.overflow
        self._next_in = frame.end
        mixed = np.ascontiguousarray(mix(frame.samples, self.channels))
        done += self._take(self._stream.resample_chunk(mixed, last=False))
        return done

    def flush(self) -> list[AudioFrame]:
        """End the stream: returns the samples still held back. The next frame begins anew."""
        if self._stream is None:
            return []
        silent = np.zeros((0, self.channels), np.float32)
        tail = self._stream.resample_chunk(silent, last=True)
        self._stream = None
        room = self._scaled(self._next_in) - self._next_out
        return self._take(tail[: max(0, room)])

    def _begin(self, frame: AudioFrame) -> None:
        self._in_rate = frame.rate
        self._stream = soxr.ResampleStream(
            frame.rate, self.rate, self.channels, dtype="float32", quality="HQ"
        )
        self._next_out = self._scaled(frame.start)

    def _scaled(self, index: int) -> int:
        return (index * self.rate + self._in_rate // 2) // self._in_rate

    def _take(self, samples: Samples) -> list[AudioFrame]:
        if not samples.shape[0]:
            return []
        frame = AudioFrame(
            samples.reshape(-1, self.channels), self.rate, self._next_out, self._overflow
        )
        self._next_out, self._overflow = frame.end, False
        return [frame]
