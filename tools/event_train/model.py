"""The sound event detector: a small causal CRNN (torch).

Log-mel frames (10 ms) -> four causal convolutions over time and frequency, 4x sub-sampling in
time -> GRU -> a probability per class every 40 ms. Clips have one label each, frames none: the
clip's probability is the mean of the frames', each weighted by itself (linear softmax: Wang, Li
and Metze 2019, arXiv:1810.09050), so a short bark in a long silence counts.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["CONTEXT", "SUBSAMPLING", "EventNet", "clip_probability"]

SUBSAMPLING = 4
"""Feature frames in an output frame."""
KERNELS = ((5, 5), (3, 3), (3, 3), (3, 3))
STRIDES = ((2, 2), (2, 2), (1, 2), (1, 2))
CONTEXT = tuple(k[0] - s[0] for k, s in zip(KERNELS, STRIDES, strict=True))
"""Frames of its input that each convolution keeps from the chunk before."""
BINS = (80, 40, 20, 10, 5)


class EventNet(nn.Module):
    """``[B, 4 n, 80]`` features to ``[B, n, C]`` logits, in chunks or whole."""

    mean: Tensor
    scale: Tensor

    def __init__(
        self, classes: int, channels: tuple[int, ...] = (24, 48, 64, 64), hidden: int = 96
    ) -> None:
        super().__init__()
        self.register_buffer("mean", torch.full((80,), -9.0))
        self.register_buffer("scale", torch.full((80,), 0.25))
        self.channels = (1, *channels)
        self.hidden = hidden
        self.convolutions = nn.ModuleList(
            nn.Conv2d(a, b, k, s, padding=(0, k[1] // 2))
            for a, b, k, s in zip(self.channels, channels, KERNELS, STRIDES, strict=False)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(c) for c in channels)
        self.inner = nn.Linear(channels[-1] * BINS[-1], hidden)
        self.gru = nn.GRU(hidden, hidden, batch_first=True)
        self.out = nn.Linear(hidden, classes)
        self.dropout = nn.Dropout(0.3)

    def initial(self, batch: int) -> list[Tensor]:
        """The state before the first chunk: of each convolution ``[B, C, k, F]``, of the GRU."""
        made = [
            torch.zeros(batch, c, k, f)
            for c, k, f in zip(self.channels, CONTEXT, BINS, strict=False)
        ]
        return [*made, torch.zeros(1, batch, self.hidden)]

    def forward(self, features: Tensor, state: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """One chunk, or all of it; returns logits and the next state."""
        x = ((features - self.mean) * self.scale)[:, None]
        after = []
        for i, (convolution, norm) in enumerate(zip(self.convolutions, self.norms, strict=True)):
            x = torch.cat([state[i], x], dim=2)
            after.append(x[:, :, x.size(2) - CONTEXT[i] :])
            x = F.relu(norm(convolution(x)))
        x = self.dropout(x.transpose(1, 2).flatten(2))
        x = self.dropout(F.relu(self.inner(x)))
        x, hidden = self.gru(x, state[-1])
        return self.out(self.dropout(x)), [*after, hidden]


def clip_probability(logits: Tensor) -> Tensor:
    """``[B, T, C]`` logits of frames to ``[B, C]`` probabilities of clips."""
    p = torch.sigmoid(logits)
    return (p * p).sum(dim=1) / p.sum(dim=1).clamp(min=1e-6)
