"""Layers of the streaming Conformer: sub-sampling, chunked attention, causal convolution.

Shapes: ``B`` streams, ``T`` frames of 40 ms, ``D`` model width, ``H`` heads,
``C`` cached frames of left context, ``K`` convolution kernel. Every layer works in two
ways that give the same numbers: on whole utterances with a mask (training) and on chunks
with caches (serving). Nothing here draws random numbers in ``eval`` mode.

Conformer: Gulati et al. 2020, arXiv:2005.08100. Rotary positions: Su et al. 2021,
arXiv:2104.09864. Chunked attention with limited left context and cached keys: Noroozi et
al. 2023, arXiv:2312.17279.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = [
    "CausalConvolution",
    "ChunkAttention",
    "ConformerBlock",
    "FeedForward",
    "Subsampling",
    "apply_rotary",
    "rotary_table",
]

RESIDUAL_SCALE: Final = 0.1
"""Output projections of all residual branches start at this fraction: without it, and with
a LayerNorm after every block, the model did not leave the blank plateau in the time there was."""


def rotary_table(length: int, dim: int, step: float = 1.0) -> Tensor:
    """Cosines and sines ``[2, length, dim]`` for positions 0, ``step``, 2 ``step``, ..."""
    frequency = 10_000.0 ** (-torch.arange(0, dim, 2, dtype=torch.float64) / dim)
    angle = torch.arange(length, dtype=torch.float64)[:, None] * step * frequency[None, :]
    angle = torch.cat([angle, angle], dim=-1)
    return torch.stack([angle.cos(), angle.sin()]).float()


def apply_rotary(x: Tensor, table: Tensor) -> Tensor:
    """Rotate the first ``r`` of ``x [B, H, T, d]`` by the positions in ``table [2, T, r]``."""
    width = table.size(-1)
    half = width // 2
    first = x[..., :width]
    turned = torch.cat([-first[..., half:], first[..., :half]], dim=-1)
    return torch.cat([first * table[0] + turned * table[1], x[..., width:]], dim=-1)


class Subsampling(nn.Module):
    """Four feature frames to one: two 3x3 convolutions of stride 2, no padding in time.

    ``[B, 4 n + 3, 80] -> [B, n, D]``: output ``j`` sees frames ``4 j .. 4 j + 6``. As nothing is
    padded, chunks only have to overlap (the pre-encode cache); no state is needed.
    """

    factor: Final = 4

    def __init__(self, num_mel: int, channels: int, inner: int, dim: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, channels, 3, stride=2, padding=(0, 1))
        self.conv2 = nn.Conv2d(channels, channels, 3, stride=2, padding=(0, 1))
        self.inner = nn.Linear(channels * (num_mel // 4), inner)
        self.out = nn.Linear(inner, dim)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.conv1(x.unsqueeze(1)))
        x = F.relu(self.conv2(x))
        x = x.transpose(1, 2).flatten(2)
        out: Tensor = self.out(F.gelu(self.inner(x)))
        return out


class FeedForward(nn.Module):
    """Pre-norm feed-forward branch, GELU, ``[B, T, D] -> [B, T, D]``."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.up = nn.Linear(dim, hidden)
        self.down = nn.Linear(hidden, dim)
        with torch.no_grad():
            self.down.weight.mul_(RESIDUAL_SCALE)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.down(F.gelu(self.up(self.norm(x))))
        return out


class ChunkAttention(nn.Module):
    """Self-attention inside a chunk and over a limited number of frames before it."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.scale = float(dim // heads) ** -0.5
        self.norm = nn.LayerNorm(dim)
        self.qkv = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)
        with torch.no_grad():
            self.out.weight.mul_(RESIDUAL_SCALE)

    def _split(self, x: Tensor) -> Tensor:
        """``[B, T, D] -> [B, H, T, D / H]``."""
        return x.view(x.size(0), x.size(1), self.heads, -1).transpose(1, 2)

    def forward(self, x: Tensor, rotary: Tensor, bias: Tensor) -> Tensor:
        """Whole: ``x [B, T, D]``, ``rotary [2, T, d]``, ``bias [B, 1, T, T]`` (0 = look)."""
        q, k, v = (self._split(p) for p in self.qkv(self.norm(x)).chunk(3, dim=-1))
        q, k = apply_rotary(q * self.scale, rotary).to(v.dtype), apply_rotary(k, rotary).to(v.dtype)
        # plain products: at these lengths twice as fast on a CPU as the fused kernel's backward
        weights = torch.softmax(torch.matmul(q, k.transpose(-1, -2)) + bias, dim=-1)
        y = torch.matmul(weights.to(v.dtype), v)
        out: Tensor = self.out(y.transpose(1, 2).flatten(2))
        return out

    def step(self, x: Tensor, cache: Tensor, rotary: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """One chunk: ``x [B, n, D]``, ``cache [B, C, 2 D]`` keys and values of the past,

        ``rotary [2, C + n, d]`` (positions inside the window), ``bias [B, 1, 1, C + n]`` zero or
        a large negative number; returns the branch output and the next cache.
        """
        past = cache.size(1)
        dim = x.size(2)
        qkv = self.qkv(self.norm(x))
        window = torch.cat([cache, qkv[:, :, dim:]], dim=1)
        q = apply_rotary(self._split(qkv[:, :, :dim]) * self.scale, rotary[:, past:])
        k = apply_rotary(self._split(window[:, :, :dim]), rotary)
        v = self._split(window[:, :, dim:])
        weights = torch.softmax(torch.matmul(q, k.transpose(-1, -2)) + bias, dim=-1)
        y = torch.matmul(weights, v).transpose(1, 2).flatten(2)
        return self.out(y), window[:, -past:]


class CausalConvolution(nn.Module):
    """Causal depth-wise convolution (kernel K), SiLU, point-wise projection."""

    def __init__(self, dim: int, kernel: int) -> None:
        super().__init__()
        self.context = kernel - 1
        self.norm = nn.LayerNorm(dim)
        self.depth = nn.Conv1d(dim, dim, kernel, groups=dim)
        self.out = nn.Linear(dim, dim)
        with torch.no_grad():
            self.out.weight.mul_(RESIDUAL_SCALE)

    def _after(self, padded: Tensor) -> Tensor:
        """``[B, D, K - 1 + T] -> [B, T, D]``."""
        out: Tensor = self.out(F.silu(self.depth(padded).transpose(1, 2)))
        return out

    def forward(self, x: Tensor) -> Tensor:
        """Whole utterance ``[B, T, D]``; before its beginning there are zeros."""
        return self._after(F.pad(self.norm(x).transpose(1, 2), (self.context, 0)))

    def step(self, x: Tensor, cache: Tensor) -> tuple[Tensor, Tensor]:
        """One chunk ``[B, n, D]`` with ``cache [B, D, K - 1]``."""
        padded = torch.cat([cache, self.norm(x).transpose(1, 2)], dim=2)
        return self._after(padded), padded[:, :, -self.context :]


class ConformerBlock(nn.Module):
    """Attention, convolution, feed-forward; no norm at its end.

    One feed-forward branch of full weight stands for the Conformer's two of half weight, so that
    attention and feed-forward can start from an encoder without convolution.
    """

    def __init__(self, dim: int, hidden: int, heads: int, kernel: int) -> None:
        super().__init__()
        self.attention = ChunkAttention(dim, heads)
        self.convolution = CausalConvolution(dim, kernel)
        self.feed_forward = FeedForward(dim, hidden)

    def forward(self, x: Tensor, rotary: Tensor, bias: Tensor) -> Tensor:
        x = x + self.attention(x, rotary, bias)
        x = x + self.convolution(x)
        out: Tensor = x + self.feed_forward(x)
        return out

    def step(
        self, x: Tensor, attention: Tensor, convolution: Tensor, rotary: Tensor, bias: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """One chunk; returns the output and both next caches."""
        y, attention = self.attention.step(x, attention, rotary, bias)
        x = x + y
        y, convolution = self.convolution.step(x, convolution)
        x = x + y
        return x + self.feed_forward(x), attention, convolution
