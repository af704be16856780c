"""The streaming Conformer-transducer (torch, extra ``[torch]``).

Log-mel frames (10 ms) -> 4x sub-sampling -> Conformer blocks with chunked attention ->
pairs of frames side by side -> encoder frames (80 ms); a stateless predictor over the last two
tokens and a joiner give the transducer (Graves 2012, arXiv:1211.3711; stateless predictor: Ghodsi
et al. 2020), a linear head on the same encoder gives CTC. One set of weights serves every chunk
size it was trained with (dynamic chunks: Zhang et al. 2020, arXiv:2012.05481).

Two ways through the encoder give the same numbers: :meth:`Encoder.forward` takes whole
utterances and masks what a chunked run would not see; :meth:`Encoder.step` takes one chunk
and explicit caches. ``docs/asr-onnx-contract.md`` has the tensors of the exported model.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from streamer.asr._conformer_layers import ConformerBlock, Subsampling, rotary_table
from streamer.errors import ModelError

__all__ = [
    "CHUNKS",
    "OVERLAP",
    "ROWS",
    "STACK",
    "ConformerConfig",
    "ConformerTransducer",
    "Encoder",
    "EncoderState",
    "Joiner",
    "Predictor",
    "chunk_mask",
    "unpacked",
]

STACK = 2
"""Frames of the blocks (40 ms) in an encoder frame (80 ms)."""
ROWS, OVERLAP = 8, 7
"""Feature frames an encoder frame advances by, and how many more a window needs."""
CHUNKS = (2, 4, 8, 16)
"""Chunk sizes in encoder frames that the model is trained for: 160, 320, 640, 1280 ms."""
MASKED = -1.0e4


@dataclass(frozen=True)
class ConformerConfig:
    """Sizes of the model. ``vocab`` counts the blank, which is the last token.

    ``rotary`` dimensions of each head carry the position, which grows by ``position_step`` a frame.
    The defaults fit the encoder of Moonshine base, whose frames are 24 ms: 40 / 24 = 5 / 3.
    ``left`` counts frames of 40 ms. ``upper`` blocks follow the norm that ends Moonshine's: those
    below say what Moonshine would, these turn it into tokens.
    """

    vocab: int = 501
    num_mel: int = 80
    channels: int = 48
    inner: int = 512
    dim: int = 416
    hidden: int = 1664
    heads: int = 8
    blocks: int = 8
    upper: int = 1
    kernel: int = 9
    left: int = 60
    joint: int = 256
    embedding: int = 256
    rotary: int = 32
    position_step: float = 5 / 3

    @property
    def blank(self) -> int:
        """Index of the blank token."""
        return self.vocab - 1

    @property
    def layers(self) -> int:
        """All blocks."""
        return self.blocks + self.upper

    def as_dict(self) -> dict[str, Any]:
        """For checkpoints."""
        return asdict(self)


class EncoderState(NamedTuple):
    """What one stream carries from chunk to chunk; batch first.

    ``attention [B, L, C, 2 D]`` keys and values, ``convolution [B, L, D, K - 1]``,
    ``length [B]`` int64, the number of valid frames in the attention cache.
    """

    attention: Tensor
    convolution: Tensor
    length: Tensor


def chunk_mask(frames: int, chunk: int, left: int) -> Tensor:
    """``[T, T]`` True where frame i may look at j: its own chunk and ``left`` frames before."""
    index = torch.arange(frames)
    begin = index.div(chunk, rounding_mode="floor") * chunk
    j = index[None, :]
    return (j >= begin[:, None] - left) & (j < begin[:, None] + chunk)


class Encoder(nn.Module):
    """Features to joiner-ready encoder frames and CTC log-probabilities."""

    feature_mean: Tensor
    feature_scale: Tensor
    rotary: Tensor

    def __init__(self, config: ConformerConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("feature_mean", torch.full((config.num_mel,), -9.0))
        self.register_buffer("feature_scale", torch.full((config.num_mel,), 0.25))
        self.subsampling = Subsampling(config.num_mel, config.channels, config.inner, config.dim)
        self.blocks = nn.ModuleList(
            ConformerBlock(config.dim, config.hidden, config.heads, config.kernel)
            for _ in range(config.layers)
        )
        self.norm = nn.LayerNorm(config.dim)
        self.upper_norm = nn.LayerNorm(config.dim)
        self.project = nn.Linear(STACK * config.dim, config.joint)
        self.ctc = nn.Linear(STACK * config.dim, config.vocab)
        table = rotary_table(4096, config.rotary, config.position_step)
        self.register_buffer("rotary", table, persistent=False)

    def frames(self, rows: Tensor) -> Tensor:
        """Encoder frames that ``rows`` feature frames give."""
        return ((rows - OVERLAP) // ROWS).clamp(min=0)

    def embed(self, features: Tensor) -> Tensor:
        """Normalise and sub-sample: ``[B, 8 n + 7, 80] -> [B, 2 n, D]``."""
        x: Tensor = self.subsampling((features - self.feature_mean) * self.feature_scale)
        return x[:, : x.size(1) // STACK * STACK]

    def heads(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """``[B, 2 T, D]`` to encoded ``[B, T, J]`` and CTC log-probabilities ``[B, T, V]``."""
        x = x.reshape(x.size(0), x.size(1) // STACK, -1)
        return self.project(x), F.log_softmax(self.ctc(x).float(), dim=-1)

    def forward(self, features: Tensor, rows: Tensor, chunk: int) -> tuple[Tensor, Tensor, Tensor]:
        """Whole utterances as a run in chunks of ``chunk`` encoder frames would see them.

        ``features [B, R, 80]``, ``rows [B]`` valid feature frames. Returns
        ``encoded [B, T, J]``, CTC log-probabilities ``[B, T, V]`` and lengths ``[B]``.
        """
        _, x, lengths, looks = self.lower(features, rows, chunk)
        return *self.heads(self.upper(x, looks)), lengths

    def lower(
        self, features: Tensor, rows: Tensor, chunk: int
    ) -> tuple[Tensor, Tensor, Tensor, tuple[Tensor, Tensor]]:
        """The blocks below: embedded and last frames ``[B, 2 T, D]``, lengths ``[B]``,

        and what :meth:`upper` needs besides: rotary table and attention bias.
        """
        embedded = x = self.embed(features)
        frames = x.size(1)
        lengths = self.frames(rows).clamp(max=frames // STACK)
        index = torch.arange(frames, device=x.device)
        allowed = chunk_mask(frames, STACK * chunk, self.config.left).to(x.device)
        valid = index[None, :] < STACK * lengths[:, None]
        itself = index[:, None] == index[None, :]  # padding rows must see something
        seen = allowed & valid[:, None, :] | itself
        bias = torch.zeros(seen.shape, dtype=x.dtype, device=x.device)
        bias = bias.masked_fill_(~seen, MASKED)[:, None]
        rotary = self.rotary[:, :frames]
        for block in self.blocks[: self.config.blocks]:
            x = block(x, rotary, bias)
        return embedded, self.norm(x), lengths, (rotary, bias)

    def upper(self, x: Tensor, looks: tuple[Tensor, Tensor]) -> Tensor:
        """The blocks above, ``[B, 2 T, D]`` to the same."""
        for block in self.blocks[self.config.blocks :]:
            x = block(x, *looks)
        out: Tensor = self.upper_norm(x)
        return out

    def initial(self, batch: int, device: torch.device | None = None) -> EncoderState:
        """The state before the first chunk."""
        c = self.config
        return EncoderState(
            torch.zeros(batch, c.layers, c.left, 2 * c.dim, device=device),
            torch.zeros(batch, c.layers, c.dim, c.kernel - 1, device=device),
            torch.zeros(batch, dtype=torch.int64, device=device),
        )

    def step(
        self, features: Tensor, rows: Tensor, state: EncoderState
    ) -> tuple[Tensor, Tensor, Tensor, EncoderState]:
        """One chunk: ``features [B, 8 n + 7, 80]`` of which the next call repeats the last 7.

        ``rows [B]`` counts valid feature frames; fewer than all only in a stream's last chunk
        (its state is undefined afterwards). Returns ``encoded [B, n, J]``, CTC
        log-probabilities ``[B, n, V]``, valid encoder frames ``[B]`` and the next state.
        """
        x = self.embed(features)
        count, left = x.size(1), self.config.left
        lengths = self.frames(rows).clamp(max=count // STACK)
        fresh = STACK * lengths
        index = torch.arange(left + count, device=x.device)[None, :]
        valid = (index >= left - state.length[:, None]) & (index < left + fresh[:, None])
        bias = ((1.0 - valid.to(x.dtype)) * MASKED)[:, None, None, :]
        rotary = self.rotary[:, : left + count]
        attention, convolution = [], []
        for i, block in enumerate(self.blocks):
            assert isinstance(block, ConformerBlock)
            if i == self.config.blocks:
                x = self.norm(x)
            x, a, c = block.step(x, state.attention[:, i], state.convolution[:, i], rotary, bias)
            attention.append(a)
            convolution.append(c)
        x = self.upper_norm(x if self.config.upper else self.norm(x))
        after = EncoderState(
            torch.stack(attention, dim=1),
            torch.stack(convolution, dim=1),
            (state.length + fresh).clamp(max=left),
        )
        return *self.heads(x), lengths, after


class Predictor(nn.Module):
    """Stateless predictor: the last two tokens ``[B, U, 2] -> [B, U, J]`` (blank = nothing yet)."""

    def __init__(self, config: ConformerConfig) -> None:
        super().__init__()
        self.embedding = nn.Embedding(config.vocab, config.embedding)
        self.mix = nn.Linear(2 * config.embedding, config.embedding)
        self.project = nn.Linear(config.embedding, config.joint)

    def forward(self, context: Tensor) -> Tensor:
        out: Tensor = self.project(F.silu(self.mix(self.embedding(context).flatten(-2))))
        return out


class Joiner(nn.Module):
    """``tanh(encoded + predicted)`` to logits; broadcasts, ``[..., J] -> [..., V]``."""

    def __init__(self, config: ConformerConfig) -> None:
        super().__init__()
        self.out = nn.Linear(config.joint, config.vocab)

    def forward(self, encoded: Tensor, predicted: Tensor) -> Tensor:
        logits: Tensor = self.out(torch.tanh(encoded + predicted))
        return logits


class ConformerTransducer(nn.Module):
    """Encoder, predictor and joiner, with loading and saving."""

    def __init__(self, config: ConformerConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.predictor = Predictor(config)
        self.joiner = Joiner(config)

    def contexts(self, targets: Tensor) -> Tensor:
        """Predictor contexts of a training target: ``[B, U] -> [B, U + 1, 2]``."""
        blank = self.config.blank
        padded = F.pad(targets, (2, 0), value=blank)
        return torch.stack([padded[:, :-1], padded[:, 1:]], dim=-1)

    @classmethod
    def from_checkpoint(cls, path: str) -> ConformerTransducer:
        """Build a model from ``{"config": ..., "model": ...}`` as the trainer writes it.

        A weight may be packed: a pair of int8 values and a scale for each row.
        """
        try:
            saved = torch.load(path, map_location="cpu", weights_only=True)
            model = cls(ConformerConfig(**saved["config"]))
            model.load_state_dict(unpacked(saved["model"]))
        except (OSError, KeyError, TypeError, RuntimeError) as error:
            raise ModelError(
                f"{path} is not a checkpoint of this model: {error}",
                code="asr.checkpoint.bad",
                hint="Use a file that tools/train_asr.py wrote.",
            ) from error
        return model.eval()


def unpacked(weights: dict[str, Tensor | tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
    """The weights of a checkpoint in single precision, packed ones multiplied out."""
    return {
        name: weight[0].float() * weight[1].float() if isinstance(weight, tuple) else weight.float()
        for name, weight in weights.items()
    }
