"""G.711 telephone speech: mu-law and A-law bytes to samples (ITU-T G.711)."""

from __future__ import annotations

import numpy as np

from streamer.packets import Samples

__all__ = ["decode_alaw", "decode_mulaw"]


def _mulaw_table() -> Samples:
    code = ~np.arange(256, dtype=np.uint8)
    exponent, mantissa = (code >> 4) & 7, code & 15
    magnitude = ((mantissa.astype(np.int32) << 3) + 132 << exponent) - 132
    return (np.where(code & 128, -magnitude, magnitude) / 32768).astype(np.float32)


def _alaw_table() -> Samples:
    code = np.arange(256, dtype=np.uint8) ^ 0x55
    exponent, mantissa = ((code >> 4) & 7).astype(np.int32), (code & 15).astype(np.int32)
    magnitude = (mantissa << 4) + 8
    magnitude = np.where(exponent > 0, (magnitude + 256) << np.maximum(exponent - 1, 0), magnitude)
    return (np.where(code & 128, magnitude, -magnitude) / 32768).astype(np.float32)


_MULAW, _ALAW = _mulaw_table(), _alaw_table()


def decode_mulaw(data: bytes) -> Samples:
    """One float32 sample in -1..1 for each mu-law byte."""
    return _MULAW[np.frombuffer(data, np.uint8)]


def decode_alaw(data: bytes) -> Samples:
    """One float32 sample in -1..1 for each A-law byte."""
    return _ALAW[np.frombuffer(data, np.uint8)]
