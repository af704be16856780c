"""What a streaming engine offers to the search, whatever runs the networks.

Shapes: ``B`` sessions, ``R`` feature rows of a window, ``n`` encoder frames of a chunk, ``J``
joiner width, ``V`` tokens with blank, ``H`` hypotheses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from streamer.asr.streaming.slots import Lease
from streamer.errors import ModelError

__all__ = ["Encoded", "Floats", "ModelInfo", "PredictorState", "StreamingEngine"]

Floats = NDArray[np.float32]
PredictorState = tuple[NDArray[Any], ...]
"""What the predictor remembers of a hypothesis; every array is ``[H, ...]``."""


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What the files say about a streaming transducer.

    A window of ``chunk * subsampling + overlap`` feature rows (10 ms each) gives ``chunk``
    encoder frames; the next window begins ``chunk * subsampling`` rows later. ``chunks`` are
    the sizes the model serves, ``chunk`` is the default. ``silent`` tokens (unknown, sentence
    marks) are never shown. ``tail_rows`` of silence must follow the last real row.
    """

    name: str
    tokens: tuple[str, ...]
    blank: int
    chunks: tuple[int, ...]
    chunk: int
    subsampling: int
    overlap: int
    features: Literal["slaney", "kaldi"] = "slaney"
    mel: int = 80
    silent: frozenset[int] = field(default_factory=frozenset)
    tail_rows: int = 40
    max_symbols: int = 10
    has_ctc: bool = False
    language: str = ""

    @property
    def vocab(self) -> int:
        """Tokens, blank included."""
        return len(self.tokens)

    @property
    def frame_seconds(self) -> float:
        """Duration of an encoder frame."""
        return self.subsampling * 0.01

    def rows(self, chunk: int) -> int:
        """Feature rows of a window of ``chunk`` encoder frames."""
        return chunk * self.subsampling + self.overlap

    def windows(self, rows: int, chunk: int) -> int:
        """Windows to run in all for a stream of ``rows`` feature rows, tail included."""
        shift = chunk * self.subsampling
        return -(-(rows + self.tail_rows) // shift) if rows else 0

    def chunk_of(self, seconds: float | None) -> int:
        """Encoder frames of a chunk of ``seconds``; refuses what the model does not serve."""
        if seconds is None:
            return self.chunk
        chunk = round(seconds / self.frame_seconds)
        if chunk not in self.chunks or abs(chunk * self.frame_seconds - seconds) > 1e-6:
            served = ", ".join(f"{round(c * self.frame_seconds * 1000)}ms" for c in self.chunks)
            raise ModelError(
                f"{self.name} does not serve chunks of {round(seconds * 1000)} ms",
                code="asr.model.chunk",
                hint=f"It serves {served}.",
            )
        return chunk


@dataclass(frozen=True, slots=True)
class Encoded:
    """One chunk of a batch: ``frames [B, n, J]`` and, with a CTC head, ``ctc [B, n, V]`` (log)."""

    frames: Floats
    ctc: Floats | None = None


class StreamingEngine(Protocol):
    """Encoder with per-session states, predictor and joiner.

    ``acquire``, ``reset`` and ``release`` may be called from any thread at any time; everything
    else belongs to one thread at a time.
    """

    info: ModelInfo

    def acquire(self) -> Lease:
        """A slot in its initial state; ``asr.no-slot`` if there is none."""

    def reset(self, lease: Lease) -> Lease:
        """The same slot in its initial state under a new lease."""

    def release(self, lease: Lease) -> None:
        """Give the slot back."""

    def encode(self, leases: Sequence[Lease], windows: Floats) -> Encoded:
        """One window ``[B, R, mel]`` of each session; their states move on."""

    def start(self, count: int) -> PredictorState:
        """Predictor state of ``count`` hypotheses before anything was fed."""

    def predict(
        self, tokens: NDArray[np.int64], state: PredictorState
    ) -> tuple[Floats, PredictorState]:
        """Feed one token per hypothesis ``[H]``; returns ``[H, J]`` and the next state."""

    def join(self, frames: Floats, predicted: Floats) -> Floats:
        """``frames [H, T, J]`` and ``predicted [H, J]`` to logits ``[H, T, V]``."""

    def close(self) -> None:
        """Release the networks."""
