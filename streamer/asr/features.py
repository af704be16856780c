"""Log-mel features, the same numbers in training, in streaming and in other runtimes.

80 mel bins (Slaney scale and area normalisation, 0-8000 Hz), Hann window of 25 ms every
10 ms, pre-emphasis 0.97, no dither, no mean removal, natural logarithm of the power.
Frames are centred (``snip_edges=False``), so frame ``i`` covers samples around
``(i + 0.5) * 160`` and ``n`` samples give ``round(n / 160)`` frames once the input is
finished. This is what sherpa-onnx computes for NeMo transducers whose metadata say
``normalize_type = NA``; the exported model therefore needs no feature code of its own.

No torch here: the serving path imports this module.
"""

from __future__ import annotations

from typing import Final

import kaldi_native_fbank as knf
import numpy as np
from numpy.typing import NDArray

from streamer.errors import InputError

__all__ = [
    "FRAME_SHIFT",
    "LOG_FLOOR",
    "NUM_MEL",
    "SAMPLE_RATE",
    "FeatureStream",
    "fbank_options",
    "kaldi_options",
    "log_mel",
]

SAMPLE_RATE: Final = 16_000
"""Hz; nothing else is accepted."""
NUM_MEL: Final = 80
"""Mel bins per frame."""
FRAME_SHIFT: Final = 160
"""Samples between frames (10 ms)."""
LOG_FLOOR: Final = float(np.log(np.finfo(np.float32).eps))
"""What a frame of digital silence holds in every bin: log(2^-23), about -15.94."""


def fbank_options() -> knf.FbankOptions:
    """The one option set of the project (see the module's docstring)."""
    opts = knf.FbankOptions()
    opts.frame_opts.samp_freq = SAMPLE_RATE
    opts.frame_opts.frame_shift_ms = 10.0
    opts.frame_opts.frame_length_ms = 25.0
    opts.frame_opts.dither = 0.0
    opts.frame_opts.preemph_coeff = 0.97
    opts.frame_opts.remove_dc_offset = False
    opts.frame_opts.window_type = "hann"
    opts.frame_opts.round_to_power_of_two = True
    opts.frame_opts.snip_edges = False
    opts.mel_opts.num_bins = NUM_MEL
    opts.mel_opts.low_freq = 0.0
    opts.mel_opts.high_freq = 8000.0
    opts.mel_opts.is_librosa = True
    opts.use_energy = False
    return opts


def kaldi_options() -> knf.FbankOptions:
    """What icefall's models were trained on: kaldi's mel scale and window, 20-7600 Hz."""
    opts = knf.FbankOptions()
    opts.frame_opts.samp_freq = SAMPLE_RATE
    opts.frame_opts.dither = 0.0
    opts.frame_opts.snip_edges = False
    opts.mel_opts.num_bins = NUM_MEL
    opts.mel_opts.high_freq = -400.0
    return opts


class FeatureStream:
    """Samples in, frames out, at any chunking; memory stays flat.

    ``accept`` takes float32 mono samples in [-1, 1] at 16 kHz (any number, also one or
    none) and returns the frames that became ready, shape ``[frames, 80]`` float32.
    ``flush`` ends the input and returns the remaining one or two frames. ``options`` other
    than :func:`fbank_options` are for models of other makers.
    """

    def __init__(self, options: knf.FbankOptions | None = None) -> None:
        self._options = options or fbank_options()
        self._bins: int = self._options.mel_opts.num_bins
        self._fbank = knf.OnlineFbank(self._options)
        self._taken = 0
        self._samples = 0
        self._finished = False

    @property
    def num_frames(self) -> int:
        """Frames handed out so far; times 10 ms gives the position in the stream."""
        return self._taken

    @property
    def num_samples(self) -> int:
        """Samples accepted so far."""
        return self._samples

    def accept(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Take samples ``[n]``; return new frames ``[m, 80]``."""
        if self._finished:
            raise InputError(
                "audio arrived after the feature stream was flushed",
                code="asr.features.finished",
                hint="Start a new stream, or call reset().",
            )
        audio = np.ascontiguousarray(samples, dtype=np.float32)
        if audio.ndim != 1:
            raise InputError(
                f"features need mono samples of shape [n], got shape {audio.shape}",
                code="asr.features.shape",
                hint="Mix the channels down first.",
            )
        if audio.size == 0:
            return np.empty((0, self._bins), np.float32)
        if not np.isfinite(audio).all():
            raise InputError(
                "the audio holds NaN or infinite samples",
                code="asr.features.not_finite",
                hint="Look at the device or decoder it came from; nothing of it was used.",
            )
        self._fbank.accept_waveform(SAMPLE_RATE, audio)
        self._samples += audio.size
        return self._take()

    def flush(self) -> NDArray[np.float32]:
        """End the input; return the last frames ``[m, 80]``."""
        if not self._finished:
            self._finished = True
            if self._samples:
                self._fbank.input_finished()
        return self._take()

    def reset(self) -> None:
        """Forget everything; the next sample is the first of a new stream."""
        self.__init__(self._options)  # type: ignore[misc]

    def _take(self) -> NDArray[np.float32]:
        ready = self._fbank.num_frames_ready if self._samples else 0
        count = ready - self._taken
        out = np.empty((max(count, 0), self._bins), np.float32)
        for row in range(count):
            out[row] = self._fbank.get_frame(self._taken + row)
        if count > 0:
            self._fbank.pop(count)
            self._taken = ready
        return out


def log_mel(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Features of a whole utterance: samples ``[n]`` in [-1, 1] -> ``[frames, 80]``."""
    stream = FeatureStream()
    head = stream.accept(samples)
    return np.concatenate([head, stream.flush()])
