"""Raw samples of any width to float32 ``[frames, channels]``."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from streamer.packets import Samples

__all__ = ["PcmFormat", "clean", "from_pcm", "sample_width", "to_float"]

PcmFormat = Literal["u8", "s16le", "s24le", "s32le", "f32le", "f64le"]
"""Raw sample formats, named as FFmpeg names them."""

_DTYPES = {"u8": "u1", "s16le": "<i2", "s32le": "<i4", "f32le": "<f4", "f64le": "<f8"}
_WIDTHS = {"u8": 1, "s16le": 2, "s24le": 3, "s32le": 4, "f32le": 4, "f64le": 8}
assert set(_WIDTHS) == set(get_args(PcmFormat))


def sample_width(pcm: PcmFormat) -> int:
    """Bytes of one sample."""
    return _WIDTHS[pcm]


def to_float(samples: npt.NDArray[Any]) -> Samples:
    """Float32 ``[frames, channels]`` from ``[frames]`` or ``[frames, channels]``.

    Integers are scaled so that full scale is -1..1; unsigned 8-bit is centred on 128. Floats
    keep their values: clipping and DC offset stay as they are.
    """
    shaped = samples.reshape(-1, 1) if samples.ndim == 1 else samples
    if shaped.dtype == np.uint8:
        return (shaped.astype(np.float32) - np.float32(128)) / np.float32(128)
    if shaped.dtype.kind == "i":
        scale = np.float64(2.0 ** (8 * shaped.dtype.itemsize - 1))
        return (shaped / scale).astype(np.float32)
    return np.ascontiguousarray(shaped, dtype=np.float32)


def from_pcm(data: bytes, pcm: PcmFormat, channels: int = 1) -> Samples:
    """Interleaved raw bytes to float32 ``[frames, channels]``; a partial last frame is cut."""
    size = _WIDTHS[pcm] * channels
    data = data[: len(data) // size * size]
    if pcm == "s24le":
        wide = np.zeros((len(data) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        return to_float(wide.view("<i4").reshape(-1, channels))
    return to_float(np.frombuffer(data, _DTYPES[pcm]).reshape(-1, channels))


def clean(samples: Samples) -> tuple[Samples, int]:
    """Replace NaN and infinite samples by 0; also returns how many there were."""
    finite = np.isfinite(samples)
    bad = int(samples.size - np.count_nonzero(finite))
    return (np.where(finite, samples, np.float32(0)), bad) if bad else (samples, 0)
