"""Decoding with the torch model, and word error rates with bootstrap intervals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from streamer.asr.conformer import ConformerTransducer

__all__ = ["Score", "ctc_greedy", "edit_distance", "score", "transducer_greedy"]


def edit_distance(a: list[str], b: list[str]) -> int:
    """Levenshtein distance of two sequences."""
    row = np.arange(len(b) + 1)
    for i, x in enumerate(a, 1):
        previous = row
        row = np.empty_like(previous)
        row[0] = i
        for j, y in enumerate(b, 1):
            row[j] = min(previous[j] + 1, row[j - 1] + 1, previous[j - 1] + (x != y))
    return int(row[-1])


def ctc_greedy(log_probs: Tensor, lengths: Tensor) -> list[list[int]]:
    """Best path of ``[B, T, V]``: repeats merged, blanks (last token) dropped."""
    blank = log_probs.size(-1) - 1
    best = log_probs.argmax(dim=-1)
    out = []
    for b in range(best.size(0)):
        path = torch.unique_consecutive(best[b, : int(lengths[b])])
        out.append([int(t) for t in path if int(t) != blank])
    return out


def transducer_greedy(
    model: ConformerTransducer, encoded: Tensor, lengths: Tensor, max_symbols: int = 5
) -> list[list[int]]:
    """Greedy search over ``encoded [B, T, J]``, all streams of the batch side by side."""
    batch, blank = encoded.size(0), model.config.blank
    out: list[list[int]] = [[] for _ in range(batch)]
    context = torch.full((batch, 2), blank, dtype=torch.int64)
    predicted = model.predictor(context)
    for t in range(encoded.size(1)):
        active = lengths > t
        for _ in range(max_symbols):
            token = model.joiner(encoded[:, t], predicted).argmax(dim=-1)
            active = active & (token != blank)
            if not bool(active.any()):
                break
            for b in torch.nonzero(active)[:, 0].tolist():
                out[b].append(int(token[b]))
            moved = torch.stack([context[:, 1], token], dim=1)
            context = torch.where(active[:, None], moved, context)
            predicted = model.predictor(context)
    return out


@dataclass(frozen=True, slots=True)
class Score:
    """An error rate in per cent with a 95 % bootstrap interval over utterances."""

    rate: float
    low: float
    high: float
    errors: int
    units: int

    def __str__(self) -> str:
        return f"{self.rate:.1f} [{self.low:.1f}, {self.high:.1f}]"


def score(references: list[list[str]], hypotheses: list[list[str]], draws: int = 1000) -> Score:
    """Errors per reference unit; give words for WER, characters for CER."""
    pairs = zip(references, hypotheses, strict=True)
    errors = np.asarray([edit_distance(r, h) for r, h in pairs], np.float64)
    units = np.asarray([len(r) for r in references], np.float64)
    if units.sum() == 0:
        return Score(float("nan"), float("nan"), float("nan"), 0, 0)
    pick = np.random.default_rng(0).integers(0, len(errors), (draws, len(errors)))
    rates: NDArray[np.float64] = errors[pick].sum(axis=1) / np.maximum(units[pick].sum(axis=1), 1)
    low, high = np.percentile(100 * rates, [2.5, 97.5])
    rate = 100 * errors.sum() / units.sum()
    return Score(float(rate), float(low), float(high), int(errors.sum()), int(units.sum()))
