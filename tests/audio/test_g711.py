"""G.711 tables against FFmpeg's decoders."""

from __future__ import annotations

from collections.abc import Callable

import av
import numpy as np
import pytest

from streamer.audio.g711 import decode_alaw, decode_mulaw
from streamer.packets import Samples


@pytest.mark.parametrize(
    ("codec", "decode"), [("pcm_mulaw", decode_mulaw), ("pcm_alaw", decode_alaw)]
)
def test_every_code_decodes_as_in_ffmpeg(codec: str, decode: Callable[[bytes], Samples]) -> None:
    data = bytes(range(256))
    context = av.CodecContext.create(codec, "r")
    context.sample_rate = 8000  # type: ignore[attr-defined]
    context.layout = "mono"  # type: ignore[attr-defined]
    (frame,) = context.decode(av.Packet(data))  # type: ignore[attr-defined]
    expected = frame.to_ndarray().reshape(-1).astype(np.float32) / 32768
    np.testing.assert_array_equal(decode(data), expected)
