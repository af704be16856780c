"""Moonshine (Jeffries et al. 2024, arXiv:2410.15608) in plain ONNX Runtime: the final pass.

An encoder over raw 16 kHz samples and a decoder with a key/value cache. A draft, such as the
previous partial's tokens, is checked in a single decoder step: greedy search agrees with it up to
some token, and only what follows is decoded token by token, so the result is exactly that of
greedy search and costs a fraction. Leviathan et al. 2023 (arXiv:2211.17192) do this with a small
model's draft; here the draft is the same model's opinion on a little less audio.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from streamer.asr._ort_format import open_optimised
from streamer.asr._tokenizer import PieceTokenizer
from streamer.errors import ModelError
from streamer.ort import session_options
from streamer.packets import Samples

__all__ = ["RATE", "Decoded", "Moonshine"]

RATE = 16000
BOS, EOS = 1, 2
TOKENS_PER_SECOND = 6.5
"""The most that anybody speaks; more is a loop (from the model's authors)."""
SHORTEST = RATE // 2
"""Shorter audio is padded with silence."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """Greedy tokens (without start and end) and the probability of each."""

    tokens: tuple[int, ...]
    probabilities: tuple[float, ...]


class Moonshine:
    """One model, shared by all sessions and safe to call from several threads."""

    def __init__(self, encoder: Path, decoder: Path, tokenizer: Path) -> None:
        self.tokenizer = PieceTokenizer(tokenizer)
        self._encoder = _session(encoder)
        self._decoder = _session(decoder)
        self._outputs = [output.name for output in self._decoder.get_outputs()]
        self._empty = {
            value.name: np.zeros((1, value.shape[1], 0, value.shape[3]), np.float32)
            for value in self._decoder.get_inputs()
            if value.name.startswith("past_key_values")
        }

    def decode(
        self, samples: Samples, *, forced: Sequence[int] = (), draft: Sequence[int] = ()
    ) -> Decoded:
        """Recognise ``samples`` (float32 [n], 16 kHz).

        The result begins with ``forced``; ``draft`` is a guess at what follows and changes the
        time this takes, never the result.
        """
        if samples.shape[0] < SHORTEST:
            samples = np.pad(samples, (0, SHORTEST - samples.shape[0]))
        limit = len(forced) + int(samples.shape[0] / RATE * TOKENS_PER_SECOND) + 6
        hidden = self._encoder.run(None, {"input_values": samples[None]})[0]
        feed: dict[str, Any] = {"encoder_hidden_states": hidden, **self._empty}
        start = [BOS, *forced, *draft]
        logits, cache = self._step(feed, start, cached=False)
        tokens, scores = list(forced), [1.0] * len(forced)
        # Row i of the logits predicts token i of forced + draft + what comes next.
        for position in range(len(forced), len(start)):
            token, score = _best(logits[position])
            if token == EOS or len(tokens) >= limit or _loops(tokens, token):
                return Decoded(tuple(tokens), tuple(scores))
            tokens.append(token)
            scores.append(score)
            if position < len(start) - 1 and token != start[position + 1]:
                break
        # The cache holds the start token and whatever of the draft was right.
        keep = len(tokens)
        feed.update(
            {
                name: value[:, :, :keep] if ".decoder." in name else value
                for name, value in cache.items()
            }
        )
        while len(tokens) < limit:
            logits, cache = self._step(feed, tokens[-1:], cached=True)
            token, score = _best(logits[-1])
            if token == EOS or _loops(tokens, token):
                break
            tokens.append(token)
            scores.append(score)
            feed.update({name: value for name, value in cache.items() if ".decoder." in name})
        return Decoded(tuple(tokens), tuple(scores))

    def _step(
        self, feed: dict[str, Any], tokens: Sequence[int], *, cached: bool
    ) -> tuple[Any, dict[str, Any]]:
        feed["input_ids"] = np.array([tokens], np.int64)
        feed["use_cache_branch"] = np.array([cached])
        values = dict(zip(self._outputs, self._decoder.run(None, feed), strict=True))
        logits = values.pop("logits")[0]
        return logits, {
            name.replace("present", "past_key_values"): value for name, value in values.items()
        }


def _session(path: Path) -> Any:
    options = session_options()
    try:
        if path.suffix == ".ort":
            return open_optimised(path, options)
        return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ModelError(
            f"The model file {path} cannot be loaded: {str(error).splitlines()[0]}",
            code="model.damaged",
            hint="Install the model again.",
        ) from error


def _best(logits: Any) -> tuple[int, float]:
    token = int(logits.argmax())
    return token, float(1.0 / np.exp(logits - logits[token]).sum())


def _loops(tokens: Sequence[int], token: int) -> bool:
    """Whether ``token`` would complete the third repetition in a row of some phrase."""
    recent = [*tokens[-23:], token]
    for length in range(2, 9):
        if len(recent) >= 3 * length:
            phrase = recent[-length:]
            if recent[-2 * length : -length] == phrase == recent[-3 * length : -2 * length]:
                return True
    return len(recent) >= 6 and len(set(recent[-6:])) == 1
