"""Silero voice activity detection on ONNX Runtime (Silero Team, version 6, 16 kHz)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime

from streamer.ort import session_options
from streamer.packets import Samples

__all__ = ["CHUNK", "RATE", "Piece", "SileroModel", "SileroState"]

RATE = 16000
CHUNK = 512
"""Samples for one probability (32 ms)."""
_CONTEXT = 64
"""Samples of the previous chunk that must stand in front of each chunk."""


class SileroState:
    """What the model remembers of one stream."""

    __slots__ = ("context", "hidden")

    def __init__(self) -> None:
        self.context = np.zeros(_CONTEXT, np.float32)
        self.hidden = np.zeros((2, 128), np.float32)


@dataclass(frozen=True, slots=True)
class Piece:
    """Chunks for the model: ``samples`` ``[chunks, 512]`` of the stream at ``start`` to ``end``.

    At most 16 chunks, so that a stream with much to say does not keep others waiting.
    The last chunk of a piece may be filled up with zeros beyond ``end``.
    """

    samples: Samples
    state: SileroState
    start: int
    end: int


class SileroModel:
    """The network, shared by any number of streams and threads."""

    def __init__(self, path: Path) -> None:
        self._session = onnxruntime.InferenceSession(
            str(path), session_options(), providers=["CPUExecutionProvider"]
        )
        self._rate = np.array(RATE, np.int64)

    def run(
        self, chunks: npt.NDArray[np.float32], states: Sequence[SileroState]
    ) -> npt.NDArray[np.float32]:
        """Probabilities ``[batch]`` for ``chunks`` ``[batch, 512]``, one chunk of each stream.

        ``states`` are the streams' states, in the same order; they move on by one chunk.
        """
        context = np.stack([state.context for state in states])
        hidden = np.stack([state.hidden for state in states], axis=1)
        probability, hidden = self._session.run(
            None,
            {
                "input": np.concatenate([context, chunks], axis=1),
                "state": hidden,
                "sr": self._rate,
            },
        )
        for i, state in enumerate(states):
            state.context = chunks[i, -_CONTEXT:].copy()
            state.hidden = hidden[:, i]
        return np.asarray(probability[:, 0], np.float32)

    def run_pieces(self, pieces: Sequence[Piece]) -> list[Samples]:
        """Probabilities ``[chunks]`` of each piece, side by side; one piece of each stream."""
        found = [np.empty(len(piece.samples), np.float32) for piece in pieces]
        for step in range(max(len(piece.samples) for piece in pieces)):
            rows = [i for i, piece in enumerate(pieces) if step < len(piece.samples)]
            chunks = np.stack([pieces[i].samples[step] for i in rows])
            heard = self.run(chunks, [pieces[i].state for i in rows])
            for i, probability in zip(rows, heard, strict=True):
                found[i][step] = probability
        return found
