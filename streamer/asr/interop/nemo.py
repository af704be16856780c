"""NeMo cache-aware transducers as sherpa-onnx lays them out; our own export is one of them.

Recurrent or disguised stateless predictor, blank is the last token, states batch first.
``docs/asr-onnx-contract.md`` describes our files; exporters of public models are
``scripts/nemo/*/export-onnx-transducer.py`` of k2-fsa/sherpa-onnx.
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

__all__ = ["OWN_TYPE", "NemoLayout"]

OWN_TYPE = "streamer_conformer_transducer"
"""``model_type`` of our export: stateless predictor of context 2, all chunk sizes, CTC head."""


class NemoLayout(Layout):
    """Encoder (B, mel, R) with three caches; predictor with two state tensors."""

    def __init__(self, meta: Metadata, tokens: Path, outputs: int) -> None:
        normalise = meta.text("normalize_type", "")
        if normalise not in ("", "NA"):
            raise ModelError(
                f"{meta.path.name} wants features normalised by {normalise!r}",
                code="asr.model.layout",
                hint="Only streaming models without normalisation (NA) can be run.",
            )
        if "prompt_dictionary" in meta.values:
            raise ModelError(
                f"{meta.path.name} takes a language prompt, which is not supported",
                code="asr.model.layout",
                hint="Use a model of one language.",
            )
        own = meta.text("model_type", "") == OWN_TYPE
        sub = meta.integer("subsampling_factor")
        window, shift = meta.integer("window_size"), meta.integer("chunk_shift")
        if shift % sub or window < shift:
            raise ModelError(
                f"{meta.path.name}: window {window}, shift {shift} and sub-sampling {sub} disagree",
                code="asr.model.metadata",
                hint="Export the model again.",
            )
        vocab = meta.integer("vocab_size") + 1
        names = read_tokens(tokens, vocab, meta.path)
        self.context = 2 if own else 0
        self.info = ModelInfo(
            name=meta.path.parent.name,
            tokens=names,
            blank=vocab - 1,
            chunks=meta.integers("chunks", (shift // sub,)) if own else (shift // sub,),
            chunk=shift // sub,
            subsampling=sub,
            overlap=window - shift,
            mel=meta.integer("feat_dim", 80),
            silent=frozenset(i for i, name in enumerate(names) if name == "<unk>"),
            has_ctc=outputs > 5,
        )
        layers, frames, width = (meta.integer(f"cache_last_channel_dim{i}") for i in (1, 2, 3))
        blocks, dim, kernel = (meta.integer(f"cache_last_time_dim{i}") for i in (1, 2, 3))
        self.states = (
            StateSpec("cache_last_channel", (1, layers, frames, width)),
            StateSpec("cache_last_time", (1, blocks, dim, kernel)),
            StateSpec("cache_last_channel_len", (1,), dtype="int64"),
        )
        self._hidden = (meta.integer("pred_rnn_layers"), meta.integer("pred_hidden"))

    def encoder_feed(self, windows: Floats, states: Sequence[NDArray[Any]]) -> Arrays:
        batch, rows, _ = windows.shape
        signal = np.ascontiguousarray(windows.transpose(0, 2, 1))
        return [signal, np.full(batch, rows, np.int64), *states]

    def encoder_take(self, outputs: Sequence[NDArray[Any]]) -> tuple[Encoded, Arrays]:
        ctc = outputs[5] if self.info.has_ctc else None
        return Encoded(outputs[0].transpose(0, 2, 1), ctc), list(outputs[2:5])

    def start(self, count: int) -> PredictorState:
        if self.context:
            return (np.full((count, 2), self.info.blank, np.int64),)
        layers, width = self._hidden
        zeros = np.zeros((count, layers, width), np.float32)
        return (zeros, zeros.copy())

    def predictor_feed(self, tokens: NDArray[np.int64], state: PredictorState) -> Arrays:
        targets = tokens.astype(np.int32)[:, None]
        ones = np.ones(len(tokens), np.int32)
        if self.context:
            before = (state[0][:, -1] + 1).astype(np.float32)[None, :, None]
            return [targets, ones, before, np.zeros_like(before)]
        return [targets, ones, *(np.ascontiguousarray(s.transpose(1, 0, 2)) for s in state)]

    def predictor_take(
        self,
        outputs: Sequence[NDArray[Any]],
        tokens: NDArray[np.int64],
        state: PredictorState,
    ) -> tuple[Floats, PredictorState]:
        predicted = outputs[0][:, :, 0]
        if self.context:
            return predicted, (np.concatenate([state[0][:, 1:], tokens[:, None]], axis=1),)
        return predicted, tuple(s.transpose(1, 0, 2) for s in outputs[2:4])

    def joiner_feed(self, frames: Floats, predicted: Floats) -> Arrays:
        return [np.ascontiguousarray(frames.transpose(0, 2, 1)), predicted[:, :, None]]

    def joiner_take(self, output: NDArray[Any], count: int) -> Floats:
        logits: Floats = output[:, :, 0]
        return logits
