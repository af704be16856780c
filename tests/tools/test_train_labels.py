"""Which labels are trained on, and what of the audio is shown to the labelling model."""

from __future__ import annotations

import numpy as np
import pytest

for name in ("onnxruntime", "soundfile", "soxr", "kaldi_native_fbank"):
    pytest.importorskip(name)

from tools.label_corpus import acceptable, speech_part  # noqa: E402


@pytest.mark.parametrize(
    ("text", "probabilities", "good"),
    [
        ("I'd like a mocha.", (0.9, 0.95), True),
        ("I'd like a mocha.", (0.9, 0.4), False),
        ("A 20-ounce mocha.", (0.99, 0.99), False),
        (" ", (0.99,), False),
        ("", (), False),
    ],
)
def test_acceptable(text: str, probabilities: tuple[float, ...], good: bool) -> None:
    assert acceptable(text, probabilities, 0.85) is good


def test_silence_is_cut_off() -> None:
    rng = np.random.default_rng(0)
    audio = (rng.standard_normal(16_000 * 6) * 1e-3).astype(np.float32)
    audio[48_000:64_000] += np.sin(np.arange(16_000) / 5).astype(np.float32)
    part = speech_part(audio)
    assert 16_000 <= part.size <= 16_000 + 10_500
    assert speech_part(np.zeros(16_000, np.float32)).size == 16_000
    assert speech_part(np.zeros(5, np.float32)).size == 5
