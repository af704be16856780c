"""Takes the sound of our own loudspeaker out of what the microphone hears.

WebRTC's audio processing (AEC3, its high-pass filter, if wanted its noise suppression) from the
``livekit`` package, Apache-2.0, offline.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import soxr

from streamer.errors import ModelError
from streamer.packets import Samples

__all__ = ["RATE", "EchoCanceller"]

RATE = 16000
"""Hz, of the microphone's sound."""
BLOCK = RATE // 100
"""Samples WebRTC takes at a time."""
_MEMORY = 4 * RATE
"""Samples of played sound that are kept until the microphone's clock has passed them."""
_JITTER = 0.1
"""Seconds by which a block may be late and still follow the one before without a gap."""
_AFTER = 0.01
"""Seconds by which the played sound is laid down later: the resampler holds a little back."""


class EchoCanceller:
    """Both sounds are laid on one clock (s), so that late or missing blocks shift nothing.

    The echo may come up to about 0.4 s after :meth:`played` says; AEC3 finds the delay itself.
    Raises ModelError ``aec.missing`` without the package.
    """

    def __init__(self, *, noise_suppression: bool = False) -> None:
        try:
            from livekit.rtc import AudioFrame
            from livekit.rtc.apm import AudioProcessingModule
        except ImportError as error:
            raise ModelError(
                "Echo cancellation needs the package livekit.",
                code="aec.missing",
                hint="pip install 'streamer[aec]'",
            ) from error
        self._frame = AudioFrame
        self._apm: Any = AudioProcessingModule(
            echo_cancellation=True, high_pass_filter=True, noise_suppression=noise_suppression
        )
        self._sound = np.zeros(_MEMORY, np.int16)
        """What is played, by sample of the clock modulo its length."""
        self._until = 0
        """Sample of the clock up to which sound has been laid down."""
        self._resampler: Any = None
        self._rate = 0
        self._held: Samples = np.zeros(0, np.float32)

    def played(self, samples: Samples, rate: int, when: float) -> None:
        """``samples`` (float32 [n]) at ``rate`` Hz begin to sound at ``when``."""
        begin = round((when + _AFTER) * RATE)
        if rate != self._rate or abs(begin - self._until) > _JITTER * RATE:
            self._rate = rate
            self._resampler = soxr.ResampleStream(rate, RATE, 1, "float32", "LQ")
            self._until = begin
        sound = _int16(self._resampler.resample_chunk(samples))[-_MEMORY:]
        self._sound[np.arange(self._until, self._until + len(sound)) % _MEMORY] = sound
        self._until += len(sound)

    def clean(self, samples: Samples, when: float) -> Samples:
        """``samples`` (float32 [n], 16 kHz) heard until ``when``, without the echo.

        Works in blocks of 10 ms: what does not fill one is held for the next call.
        """
        heard = np.concatenate([self._held, samples])
        whole = len(heard) // BLOCK * BLOCK
        self._held = heard[whole:]
        begin = round(when * RATE) - len(heard)
        blocks = [self._block(heard[at : at + BLOCK], begin + at) for at in range(0, whole, BLOCK)]
        return np.concatenate(blocks) if blocks else np.zeros(0, np.float32)

    @property
    def held(self) -> int:
        """Samples that wait for the rest of their block."""
        return len(self._held)

    def _block(self, near: Samples, begin: int) -> Samples:
        places = np.arange(begin, begin + BLOCK) % _MEMORY
        self._apm.process_reverse_stream(self._as_frame(self._sound[places]))
        self._sound[places] = 0
        frame = self._as_frame(_int16(near))
        self._apm.process_stream(frame)
        return np.frombuffer(frame.data, np.int16).astype(np.float32) / np.float32(32768)

    def _as_frame(self, samples: npt.NDArray[np.int16]) -> Any:
        return self._frame(bytearray(samples.tobytes()), RATE, 1, BLOCK)


def _int16(samples: Samples) -> npt.NDArray[np.int16]:
    return (np.clip(samples, -1, 1) * 32767).astype(np.int16)
