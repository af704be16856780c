"""A language of tones: every token is a sound, so that what was said is known exactly."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["TOKENS", "noise", "random_tokens", "say", "spell"]

TOKENS = ("<unk>", *(f"\u2581{c}" for c in "abcdefghij"), *"klmnopqrst", "<blk>")
"""The vocabulary of tests/asr/data/tiny: ten tokens that begin words, ten that do not."""


def random_tokens(rng: np.random.Generator, count: int) -> list[int]:
    """A random sentence: its first token begins a word, no token comes twice in a row."""
    tokens: list[int] = []
    while len(tokens) < count:
        token = int(rng.integers(1, 11 if not tokens or rng.random() < 0.4 else 21))
        if tokens[-1:] != [token]:
            tokens.append(token)
    return tokens


def spell(tokens: list[int]) -> str:
    """The text of a sentence."""
    return "".join(TOKENS[t] for t in tokens).replace("\u2581", " ").strip()


def say(
    tokens: list[int], rng: np.random.Generator, length: tuple[float, float] = (0.12, 0.22)
) -> NDArray[np.float32]:
    """Samples (16 kHz) of a sentence: one chord a token, short gaps between, no pause around."""
    parts: list[NDArray[np.float64]] = []
    for token in tokens:
        size = int(16000 * rng.uniform(*length))
        time = np.arange(size) / 16000
        base = 200.0 * 1.16**token
        wave = np.sin(2 * np.pi * base * time) + 0.5 * np.sin(2 * np.pi * base * 1.5 * time)
        loud = 10 ** rng.uniform(-1.4, -0.6)
        parts += [loud * wave * np.hanning(size) ** 0.3, np.zeros(int(rng.integers(800)))]
    speech = np.concatenate(parts) if parts else np.zeros(0)
    return (speech + 1e-4 * rng.standard_normal(speech.size)).astype(np.float32)


def noise(seconds: float, seed: int = 0) -> NDArray[np.float32]:
    """Quiet noise: a room in which nobody speaks."""
    rng = np.random.default_rng(seed)
    return (1e-4 * rng.standard_normal(round(seconds * 16000))).astype(np.float32)
