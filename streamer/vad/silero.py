"""Silero voice activity detection on ONNX Runtime (Silero Team, version 6, 16 kHz)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime

from streamer.ort import session_options
from streamer.packets import Samples

__all__ = ["CHUNK", "RATE", "SileroModel", "SileroState"]

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

    def run_sequence(self, samples: Samples, state: SileroState) -> list[float]:
        """Probabilities of consecutive chunks of one stream; ``samples`` ``[chunks * 512]``."""
        return [float(self.run(chunk[None], [state])[0]) for chunk in samples.reshape(-1, CHUNK)]
