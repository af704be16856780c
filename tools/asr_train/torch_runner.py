"""Whole-manifest decoding with the torch model; what tools/evaluate.py calls for checkpoints."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import sentencepiece as spm
import torch

from streamer.asr.conformer import ConformerTransducer
from streamer.asr.features import LOG_FLOOR, NUM_MEL, log_mel
from tools.asr_train.batching import pad_batch
from tools.asr_train.scoring import ctc_greedy, transducer_greedy
from tools.asr_train.store import Utterance, read_audio

__all__ = ["TorchRunner"]

TAIL_ROWS = 48
"""Rows of silence after the speech, as the engine appends at the end of a stream."""


class TorchRunner:
    """Masked full-context decoding: equal to the chunked run (a test holds it), and faster."""

    def __init__(self, checkpoint: Path, tokenizer: Path, batch: int = 16) -> None:
        self._model = ConformerTransducer.from_checkpoint(str(checkpoint))
        self._tokenizer = spm.SentencePieceProcessor(model_file=str(tokenizer))
        self._batch = batch
        self._cache: dict[Path, np.ndarray] = {}

    def _features(self, utterance: Utterance) -> np.ndarray:
        found = self._cache.get(utterance.path)
        if found is None:
            silence = np.full((TAIL_ROWS, NUM_MEL), LOG_FLOOR, np.float32)
            found = np.concatenate([log_mel(read_audio(utterance.path)), silence])
            self._cache[utterance.path] = found
        return found

    @torch.inference_mode()
    def __call__(self, utterances: Sequence[Utterance], chunk_ms: int, search: str) -> list[str]:
        """Texts in the order of the utterances; ``search`` is ``greedy`` or ``ctc``."""
        if search not in ("greedy", "ctc"):
            raise ValueError(f"a checkpoint can be decoded by greedy or ctc, not {search!r}")
        order = sorted(range(len(utterances)), key=lambda i: utterances[i].duration)
        texts = [""] * len(utterances)
        for begin in range(0, len(order), self._batch):
            group = order[begin : begin + self._batch]
            batch = pad_batch([self._features(utterances[i]) for i in group], [[0]] * len(group))
            encoded, log_probs, lengths = self._model.encoder(
                batch.features, batch.rows, chunk_ms // 80
            )
            if search == "ctc":
                found = ctc_greedy(log_probs, lengths)
            else:
                found = transducer_greedy(self._model, encoded, lengths)
            for i, tokens in zip(group, found, strict=True):
                texts[i] = str(self._tokenizer.decode(tokens))
        return texts
