"""icefall's streaming transducers as sherpa-onnx lays them out: conformer and zipformer2.

Stateless predictor over ``context_size`` tokens, blank is token 0, 4x sub-sampling in effect
(10 ms rows in, 40 ms frames out). Exporters: icefall
``egs/librispeech/ASR/pruned_transducer_stateless5/export-onnx-streaming.py`` and
``egs/librispeech/ASR/zipformer/export-onnx-streaming.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamer.asr.interop.metadata import Metadata, read_tokens
from streamer.asr.streaming.engine import Encoded, Floats, ModelInfo, PredictorState
from streamer.asr.streaming.layout import Arrays, Layout
from streamer.asr.streaming.slots import StateSpec
from streamer.errors import ModelError

__all__ = ["ConformerLayout", "Zipformer2Layout"]

SUBSAMPLING = 4


class _Icefall(Layout):
    """What both share: features, predictor, joiner."""

    def __init__(self, meta: Metadata, decoder: Metadata, tokens: Path) -> None:
        window, shift = meta.integer("T"), meta.integer("decode_chunk_len")
        if meta.values.get("feature", "") == "whisper":
            raise ModelError(
                f"{meta.path.name} wants Whisper features, which are not supported",
                code="asr.model.layout",
                hint="Use a model trained on kaldi filter banks.",
            )
        if shift % SUBSAMPLING or window < shift:
            raise ModelError(
                f"{meta.path.name}: T={window} and decode_chunk_len={shift} disagree",
                code="asr.model.metadata",
                hint="Export the model again.",
            )
        names = read_tokens(tokens, decoder.integer("vocab_size"), decoder.path)
        self.context = decoder.integer("context_size")
        self.info = ModelInfo(
            name=meta.path.parent.name,
            tokens=names,
            blank=0,
            chunks=(shift // SUBSAMPLING,),
            chunk=shift // SUBSAMPLING,
            subsampling=SUBSAMPLING,
            overlap=window - shift,
            features="kaldi",
            silent=frozenset(i for i, n in enumerate(names) if n in ("<unk>", "<sos/eos>")),
            max_symbols=1,
        )
        self._shift = shift

    def encoder_take(self, outputs: Sequence[NDArray[Any]]) -> tuple[Encoded, Arrays]:
        return Encoded(outputs[0]), list(outputs[1:])

    def start(self, count: int) -> PredictorState:
        return (np.full((count, self.context), -1, np.int64),)

    def predictor_feed(self, tokens: NDArray[np.int64], state: PredictorState) -> Arrays:
        return [self._context(tokens, state)]

    def predictor_take(
        self,
        outputs: Sequence[NDArray[Any]],
        tokens: NDArray[np.int64],
        state: PredictorState,
    ) -> tuple[Floats, PredictorState]:
        return outputs[0], (self._context(tokens, state),)

    def joiner_feed(self, frames: Floats, predicted: Floats) -> Arrays:
        count, steps, width = frames.shape
        flat = np.ascontiguousarray(frames).reshape(count * steps, width)
        return [flat, np.repeat(predicted, steps, axis=0)]

    def joiner_take(self, output: NDArray[Any], count: int) -> Floats:
        logits: Floats = output.reshape(count, -1, output.shape[-1])
        return logits

    def _context(self, tokens: NDArray[np.int64], state: PredictorState) -> NDArray[np.int64]:
        return np.concatenate([state[0][:, 1:], tokens[:, None]], axis=1)


class ConformerLayout(_Icefall):
    """``model_type=conformer``: one attention cache, one convolution cache, a frame counter.

    The counter counts encoder frames, as the graph's left-context mask does (icefall's own
    ``onnx_pretrained-streaming.py``); sherpa-onnx counts feature rows there, which opens the
    mask over frames that are still zeros.
    """

    def __init__(self, meta: Metadata, decoder: Metadata, tokens: Path) -> None:
        super().__init__(meta, decoder, tokens)
        layers, width = meta.integer("num_encoder_layers"), meta.integer("encoder_dim")
        left, kernel = meta.integer("left_context"), meta.integer("cnn_module_kernel")
        self.states = (
            StateSpec("cached_attn", (layers, left, 1, width), axis=2),
            StateSpec("cached_conv", (layers, kernel - 1, 1, width), axis=2),
            StateSpec("processed_lens", (1,), dtype="int64"),
        )
        self._processed = np.zeros(0, np.int64)

    def encoder_feed(self, windows: Floats, states: Sequence[NDArray[Any]]) -> Arrays:
        self._processed = states[2].copy()
        return [windows, *states]

    def encoder_take(self, outputs: Sequence[NDArray[Any]]) -> tuple[Encoded, Arrays]:
        encoded = Encoded(outputs[0])
        return encoded, [*outputs[1:3], self._processed + encoded.frames.shape[1]]


class Zipformer2Layout(_Icefall):
    """``model_type=zipformer2``: six caches a layer, an embedding cache, a frame counter."""

    def __init__(self, meta: Metadata, decoder: Metadata, tokens: Path) -> None:
        super().__init__(meta, decoder, tokens)
        stacks = {
            key: meta.integers(key)
            for key in (
                "encoder_dims",
                "query_head_dims",
                "value_head_dims",
                "num_heads",
                "num_encoder_layers",
                "cnn_module_kernels",
                "left_context_len",
            )
        }
        if len({len(values) for values in stacks.values()}) != 1:
            raise ModelError(
                f"{meta.path.name}: its metadata lists are of different lengths",
                code="asr.model.metadata",
                hint="Export the model again.",
            )
        specs: list[StateSpec] = []
        for dim, query, value, heads, layers, kernel, left in zip(*stacks.values(), strict=True):
            for _ in range(layers):
                i = len(specs) // 6
                specs += [
                    StateSpec(f"cached_key_{i}", (left, 1, query * heads), axis=1),
                    StateSpec(f"cached_nonlin_attn_{i}", (1, 1, left, 3 * dim // 4), axis=1),
                    StateSpec(f"cached_val1_{i}", (left, 1, value * heads), axis=1),
                    StateSpec(f"cached_val2_{i}", (left, 1, value * heads), axis=1),
                    StateSpec(f"cached_conv1_{i}", (1, dim, kernel // 2)),
                    StateSpec(f"cached_conv2_{i}", (1, dim, kernel // 2)),
                ]
        specs += [
            StateSpec("embed_states", (1, 128, 3, 19)),
            StateSpec("processed_lens", (1,), dtype="int64"),
        ]
        self.states = tuple(specs)

    def encoder_feed(self, windows: Floats, states: Sequence[NDArray[Any]]) -> Arrays:
        return [windows, *states]
