"""Hybrid loss: CTC on every utterance, transducer on as many as fit a budget of lattice cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from streamer.asr.conformer import ConformerTransducer
from tools.asr_train.lattice import lattice_losses

__all__ = ["Losses", "hybrid_loss", "teacher_loss", "transducer_loss"]


class _Lattice(torch.autograd.Function):
    """Sum of negative log-likelihoods from packed logits ``[N, V]``.

    The gradient overwrites the logits: of all that a training step holds they are the largest.
    """

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any, logits: Tensor, wanted: Tensor, blank: int, sizes: Any, fast: float
    ) -> Tensor:
        normaliser = logits.logsumexp(dim=-1)
        stay = logits[:, blank] - normaliser
        go = logits.gather(1, wanted[:, None])[:, 0] - normaliser
        losses, d_stay, d_go = lattice_losses(stay.numpy(), go.numpy(), *sizes, fast)
        ctx.save_for_backward(
            logits, normaliser, wanted, torch.from_numpy(d_stay), torch.from_numpy(d_go)
        )
        ctx.blank = blank
        return torch.tensor(losses.sum(), dtype=logits.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        logits, normaliser, wanted, d_stay, d_go = ctx.saved_tensors
        with torch.no_grad():
            out = logits.detach()
            out.sub_(normaliser[:, None]).exp_().mul_(((d_stay + d_go) * -grad)[:, None])
            out[:, ctx.blank] += d_stay * grad
            out.scatter_add_(1, wanted[:, None], (d_go * grad)[:, None])
        return out, None, None, None, None


def transducer_loss(
    model: ConformerTransducer,
    encoded: Tensor,
    frames: Tensor,
    targets: Tensor,
    labels: Tensor,
    fast_emit: float = 0.0,
) -> Tensor:
    """Sum of the transducer losses of a batch.

    ``encoded [B, T, J]``, ``frames [B]``, ``targets [B, U]``, ``labels [B]`` (their lengths).
    Only the valid cells of each lattice are computed, so padding costs nothing.
    """
    predicted = model.predictor(model.contexts(targets))
    cells, wanted, cell_counts = [], [], []
    for b in range(encoded.size(0)):
        t, u = int(frames[b]), int(labels[b])
        cells.append((encoded[b, :t, None] + predicted[b, None, : u + 1]).flatten(0, 1))
        row = F.pad(targets[b, :u], (0, 1), value=0)
        wanted.append(row.repeat(t))
        cell_counts.append(t * (u + 1))
    logits = _float(model.joiner.out(torch.tanh(torch.cat(cells))))
    offsets = np.concatenate([[0], np.cumsum(cell_counts)[:-1]]).astype(np.int64)
    sizes = offsets, frames.numpy().astype(np.int64), labels.numpy().astype(np.int64)
    blank = model.config.blank
    total: Tensor = _Lattice.apply(logits, torch.cat(wanted), blank, sizes, fast_emit)
    return total


def _float(x: Tensor) -> Tensor:
    """At least single precision."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x


@dataclass(frozen=True, slots=True)
class Losses:
    """``total`` to differentiate; the parts per token for the log."""

    total: Tensor
    ctc: float
    transducer: float
    teacher: float = float("nan")


def teacher_loss(embedded: Tensor, last: Tensor, teacher: Tensor, taught: Tensor) -> Tensor:
    """Squared distance to the teacher's frames, as a fraction of their variance.

    ``embedded`` and ``last [B, T, D]``, ``teacher [B, T, 2 D]``, ``taught [B]`` valid frames.
    """
    frames = torch.arange(embedded.size(1))[None, :] < taught[:, None]
    dim = embedded.size(2)
    total = embedded.new_zeros((), dtype=torch.float32)
    for mine, theirs in ((embedded, teacher[..., :dim]), (last, teacher[..., dim:])):
        wanted = theirs[frames].float()
        scale = wanted.var().clamp(min=1e-6)
        total = total + (mine[frames].float() - wanted).square().mean() / scale
    return total


def hybrid_loss(
    model: ConformerTransducer,
    features: Tensor,
    rows: Tensor,
    targets: Tensor,
    labels: Tensor,
    chunk: int,
    ctc_weight: float,
    transducer_weight: float,
    max_cells: int = 60_000,
    fast_emit: float = 0.0,
    teacher: Tensor | None = None,
    taught: Tensor | None = None,
    teacher_weight: float = 0.0,
    lower: str = "learns",
    dropout: float = 0.0,
) -> Losses:
    """Loss per token of one batch; utterances too short for their text count nothing in CTC.

    ``lower`` and ``dropout``: see :class:`tools.asr_train.recipe.Stage`.
    """
    with torch.set_grad_enabled(lower != "rests"):
        embedded, last, lengths, looks = model.encoder.lower(features, rows, chunk)
    x = last if lower == "learns" else last.detach()
    encoded, log_probs = model.encoder.heads(model.encoder.upper(F.dropout(x, dropout), looks))
    flat = torch.cat([targets[b, : int(labels[b])] for b in range(targets.size(0))])
    ctc = F.ctc_loss(
        log_probs.transpose(0, 1),
        flat,
        lengths,
        labels,
        blank=model.config.blank,
        reduction="sum",
        zero_infinity=True,
    ) / max(int(labels.sum()), 1)
    total = ctc_weight * ctc
    spoken = float("nan")
    if transducer_weight > 0:
        order = torch.randperm(targets.size(0))
        cells = (lengths * (labels + 1))[order]
        count = max(int((cells.cumsum(0) <= max_cells).sum()), 1)
        chosen = order[:count]
        loss = transducer_loss(
            model, encoded[chosen], lengths[chosen], targets[chosen], labels[chosen], fast_emit
        ) / max(int(labels[chosen].sum()), 1)
        spoken = float(loss.detach())
        total = total + transducer_weight * loss
    distance = float("nan")
    if teacher_weight > 0 and teacher is not None and taught is not None and lower != "rests":
        imitation = teacher_loss(embedded, last, teacher, taught)
        distance = float(imitation.detach())
        total = total + teacher_weight * imitation
    return Losses(total, float(ctc.detach()), spoken, distance)
