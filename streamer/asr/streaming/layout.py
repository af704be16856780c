"""How the tensors of an exported transducer are arranged; one subclass per public layout."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamer.asr.streaming.engine import Encoded, Floats, ModelInfo, PredictorState
from streamer.asr.streaming.slots import StateSpec

__all__ = ["Layout"]

Arrays = list[NDArray[Any]]


class Layout(ABC):
    """Turns batches into the graphs' inputs and their outputs back; inputs bind by position."""

    info: ModelInfo
    states: tuple[StateSpec, ...]
    context: int = 0
    """Tokens a stateless predictor looks at; 0 for a recurrent one."""

    @abstractmethod
    def encoder_feed(self, windows: Floats, states: Sequence[NDArray[Any]]) -> Arrays:
        """``windows [B, R, mel]`` and gathered states, as the encoder's inputs."""

    @abstractmethod
    def encoder_take(self, outputs: Sequence[NDArray[Any]]) -> tuple[Encoded, Arrays]:
        """The encoder's outputs as frames and next states (in the order of ``states``)."""

    @abstractmethod
    def start(self, count: int) -> PredictorState:
        """Predictor state before anything was fed."""

    @abstractmethod
    def predictor_feed(self, tokens: NDArray[np.int64], state: PredictorState) -> Arrays:
        """Newest tokens ``[H]`` and state, as the predictor's inputs."""

    @abstractmethod
    def predictor_take(
        self,
        outputs: Sequence[NDArray[Any]],
        tokens: NDArray[np.int64],
        state: PredictorState,
    ) -> tuple[Floats, PredictorState]:
        """The predictor's outputs as ``[H, J]`` and the next state."""

    @abstractmethod
    def joiner_feed(self, frames: Floats, predicted: Floats) -> Arrays:
        """``[H, T, J]`` and ``[H, J]`` as the joiner's inputs."""

    @abstractmethod
    def joiner_take(self, output: NDArray[Any], count: int) -> Floats:
        """The joiner's output as logits ``[H, T, V]``."""
