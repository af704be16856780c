"""Sounds and files that the tests make."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np

from streamer.packets import AudioFrame, Samples


def tone(seconds: float, rate: int, channels: int = 1, hertz: float = 440.0) -> Samples:
    """A sine of amplitude 0.5."""
    t = np.arange(round(seconds * rate)) / rate
    wave = (0.5 * np.sin(2 * np.pi * hertz * t)).astype(np.float32)
    return np.repeat(wave[:, None], channels, axis=1)


def write(path: Path, samples: Samples, rate: int, codec: str, sample_format: str) -> Path:
    """Encode ``[frames, channels]`` into ``path``; the container follows its suffix."""
    channels = samples.shape[1]
    layout = {1: "mono", 2: "stereo"}[channels]
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=rate, layout=layout)
        stream.codec_context.format = sample_format
        convert = av.AudioResampler(sample_format, layout, rate)
        for i in range(0, len(samples), 1024):
            packed = np.ascontiguousarray(samples[i : i + 1024].reshape(1, -1))
            frame = av.AudioFrame.from_ndarray(packed, "flt", layout)
            frame.sample_rate, frame.pts = rate, i
            for piece in convert.resample(frame):
                out.mux(stream.encode(piece))
        out.mux(stream.encode(None))
    return path


def cut(samples: Samples, rate: int, sizes: Sequence[int]) -> list[AudioFrame]:
    """Frames of the given sizes, over and over, until the samples are used up."""
    frames, start, i = [], 0, 0
    while start < len(samples):
        piece = samples[start : start + sizes[i % len(sizes)]]
        frames.append(AudioFrame(piece, rate, start))
        start, i = start + len(piece), i + 1
    return frames
