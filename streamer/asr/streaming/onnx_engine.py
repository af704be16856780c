"""Streaming transducers in ONNX Runtime: the default engine, fp32 or int8, on the CPU."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from streamer.asr.streaming.engine import Encoded, Floats, ModelInfo, PredictorState
from streamer.asr.streaming.layout import Layout
from streamer.asr.streaming.slots import Lease, SlotPool
from streamer.errors import ModelError
from streamer.ort import session_options

__all__ = ["OnnxEngine", "PredictorCache", "open_session"]


def open_session(path: Path, threads: int = 1) -> ort.InferenceSession:
    """A session with ``threads`` threads that do not spin while they wait."""
    try:
        return ort.InferenceSession(
            str(path), session_options(threads), providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # onnxruntime's exceptions share no base
        raise ModelError(
            f"{path.name} cannot be loaded: {str(error).splitlines()[0]}",
            code="asr.model.damaged",
            hint="The file is incomplete or not an ONNX model: fetch it again.",
        ) from error


class PredictorCache:
    """Outputs of a stateless predictor by context; the oldest half goes when it is full."""

    def __init__(self, size: int = 8192) -> None:
        self._size = size
        self._rows: dict[bytes, Floats] = {}

    def get(self, contexts: NDArray[np.int64]) -> tuple[list[Floats | None], list[bytes]]:
        """Known rows for ``contexts [H, c]`` (None = unknown) and their keys."""
        keys = [context.tobytes() for context in contexts]
        return [self._rows.get(key) for key in keys], keys

    def put(self, key: bytes, row: Floats) -> None:
        """Remember a row."""
        if len(self._rows) >= self._size:
            for old in list(self._rows)[: self._size // 2]:
                self._rows.pop(old, None)  # another thread may have been quicker
        self._rows[key] = row


class OnnxEngine:
    """Three ONNX graphs and a slot pool behind :class:`StreamingEngine`."""

    def __init__(
        self,
        layout: Layout,
        encoder: ort.InferenceSession,
        decoder: ort.InferenceSession,
        joiner: ort.InferenceSession,
        slots: int,
    ) -> None:
        self.info: ModelInfo = layout.info
        self.pool = SlotPool(layout.states, slots)
        self.acquire = self.pool.acquire
        self.reset = self.pool.reset
        self.release = self.pool.release
        self._layout = layout
        self._sessions = {"encoder": encoder, "decoder": decoder, "joiner": joiner}
        self._inputs = {
            name: [item.name for item in session.get_inputs()]
            for name, session in self._sessions.items()
        }
        self._cache = PredictorCache() if layout.context else None

    def encode(self, leases: Sequence[Lease], windows: Floats) -> Encoded:
        """See :class:`StreamingEngine`."""
        states = self.pool.gather(leases)
        outputs = self._run("encoder", self._layout.encoder_feed(windows, states))
        encoded, after = self._layout.encoder_take(outputs)
        self.pool.scatter(leases, after)
        return encoded

    def start(self, count: int) -> PredictorState:
        """See :class:`StreamingEngine`."""
        return self._layout.start(count)

    def predict(
        self, tokens: NDArray[np.int64], state: PredictorState
    ) -> tuple[Floats, PredictorState]:
        """See :class:`StreamingEngine`."""
        if self._cache is None:
            outputs = self._run("decoder", self._layout.predictor_feed(tokens, state))
            return self._layout.predictor_take(outputs, tokens, state)
        context = np.concatenate([state[0][:, 1:], tokens[:, None]], axis=1)
        rows, keys = self._cache.get(context)
        missing = [i for i, row in enumerate(rows) if row is None]
        if missing:
            fed, before = tokens[missing], (state[0][missing],)
            outputs = self._run("decoder", self._layout.predictor_feed(fed, before))
            made, _ = self._layout.predictor_take(outputs, fed, before)
            for i, row in zip(missing, made, strict=True):
                rows[i] = row.copy()
                self._cache.put(keys[i], row.copy())
        return np.stack([row for row in rows if row is not None]), (context,)

    def join(self, frames: Floats, predicted: Floats) -> Floats:
        """See :class:`StreamingEngine`."""
        output = self._run("joiner", self._layout.joiner_feed(frames, predicted))[0]
        return self._layout.joiner_take(output, len(predicted))

    def close(self) -> None:
        """Release the networks."""
        self._sessions.clear()

    def _run(self, name: str, feed: list[NDArray[Any]]) -> list[NDArray[Any]]:
        outputs: list[NDArray[Any]] = self._sessions[name].run(
            None, dict(zip(self._inputs[name], feed, strict=True))
        )
        return outputs
