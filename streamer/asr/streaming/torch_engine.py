"""The streaming Conformer-transducer in torch: CUDA with bf16 and CUDA graphs, or the CPU.

State tensors of all sessions stay on the device. A step gathers them by slot number, runs one
window of every session and scatters them back; on CUDA the whole step is captured once per
batch size and replayed. Both devices run the same step. Extra ``[torch]``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from streamer.asr.conformer import CHUNKS, OVERLAP, ROWS, ConformerTransducer, EncoderState
from streamer.asr.streaming.engine import Encoded, Floats, ModelInfo, PredictorState
from streamer.asr.streaming.onnx_engine import PredictorCache
from streamer.asr.streaming.slots import Lease, LeaseTable
from streamer.errors import ModelError

__all__ = ["TorchEngine", "load_torch_engine"]


@dataclass
class _Step:
    """Buffers of one batch size and window length, and the captured graph over them."""

    windows: Tensor
    rows: Tensor
    slots: Tensor
    outputs: tuple[Tensor, Tensor] | None = None
    graph: Any = None


class TorchEngine(LeaseTable):
    """See :class:`streamer.asr.streaming.engine.StreamingEngine`."""

    def __init__(
        self, model: ConformerTransducer, info: ModelInfo, *, slots: int, device: str = "cpu"
    ) -> None:
        super().__init__(slots)
        self.info = info
        self._device = torch.device(device)
        self._model = model.to(self._device).eval()
        # One slot more than there are sessions: what fills up a batch lives there.
        self._states = self._model.encoder.initial(slots + 1, self._device)
        self._steps: dict[tuple[int, int], _Step] = {}
        self._cache = PredictorCache()

    @property
    def slot_bytes(self) -> int:
        """Memory that one session's state takes on the device."""
        return sum(part[0].numel() * part.element_size() for part in self._states)

    @torch.inference_mode()
    def encode(self, leases: Sequence[Lease], windows: Floats) -> Encoded:
        """See :class:`StreamingEngine`."""
        count, rows, _ = windows.shape
        with self.lock:
            fresh = [x.index for x in leases if self.current(x) and self.fresh(x)]
        if fresh:
            index = torch.tensor(fresh, device=self._device)
            for part in self._states:
                part.index_fill_(0, index, 0)
        step = self._prepared(_batch_size(count), rows)
        step.slots.fill_(self.slots)
        step.slots[:count] = torch.tensor([lease.index for lease in leases])
        step.windows[:count] = torch.from_numpy(np.ascontiguousarray(windows))
        if step.graph is None:
            self._run(step)
        else:
            step.graph.replay()
        assert step.outputs is not None
        frames, ctc = (out[:count].float().cpu().numpy() for out in step.outputs)
        return Encoded(frames, ctc)

    def start(self, count: int) -> PredictorState:
        """See :class:`StreamingEngine`."""
        return (np.full((count, 2), self.info.blank, np.int64),)

    @torch.inference_mode()
    def predict(
        self, tokens: NDArray[np.int64], state: PredictorState
    ) -> tuple[Floats, PredictorState]:
        """See :class:`StreamingEngine`."""
        context = np.concatenate([state[0][:, 1:], tokens[:, None]], axis=1)
        rows, keys = self._cache.get(context)
        missing = [i for i, row in enumerate(rows) if row is None]
        if missing:
            fed = torch.from_numpy(context[missing]).to(self._device)
            made = self._model.predictor(fed[:, None])[:, 0].cpu().numpy()
            for i, row in zip(missing, made, strict=True):
                rows[i] = row
                self._cache.put(keys[i], row)
        return np.stack([row for row in rows if row is not None]), (context,)

    @torch.inference_mode()
    def join(self, frames: Floats, predicted: Floats) -> Floats:
        """See :class:`StreamingEngine`."""
        encoded = torch.from_numpy(np.ascontiguousarray(frames)).to(self._device)
        before = torch.from_numpy(predicted).to(self._device)[:, None]
        logits: Floats = self._model.joiner(encoded, before).cpu().numpy()
        return logits

    def close(self) -> None:
        """Release the captured graphs."""
        self._steps.clear()

    def _prepared(self, batch: int, rows: int) -> _Step:
        step = self._steps.get((batch, rows))
        if step is None:
            where = self._device
            step = _Step(
                torch.zeros(batch, rows, self._model.config.num_mel, device=where),
                torch.full((batch,), rows, dtype=torch.int64, device=where),
                torch.full((batch,), self.slots, dtype=torch.int64, device=where),
            )
            if where.type == "cuda":
                self._capture(step)
            self._steps[batch, rows] = step
        return step

    def _run(self, step: _Step) -> None:
        """Gather, one window each, scatter; everything in the step's own buffers."""
        state = EncoderState(*(part.index_select(0, step.slots) for part in self._states))
        with torch.autocast(
            self._device.type,
            torch.bfloat16,
            enabled=self._device.type == "cuda",
            cache_enabled=False,
        ):
            frames, ctc, _, after = self._model.encoder.step(step.windows, step.rows, state)
        for part, new in zip(self._states, after, strict=True):
            part.index_copy_(0, step.slots, new.to(part.dtype))
        step.outputs = (frames, ctc)

    def _capture(self, step: _Step) -> None:
        """Run twice on a side stream, as capturing demands, then record; moves the spare slot."""
        side = torch.cuda.Stream(self._device)
        side.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(side):
            for _ in range(2):
                self._run(step)
        torch.cuda.current_stream(self._device).wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._run(step)
        step.graph = graph


def load_torch_engine(
    checkpoint: Path, tokens: Path, *, slots: int = 64, device: str = "cpu"
) -> TorchEngine:
    """The model of a checkpoint of tools/train_asr.py; ``device`` is ``cpu`` or ``cuda``."""
    if device == "cuda" and not torch.cuda.is_available():
        raise ModelError(
            "there is no CUDA device",
            code="asr.torch.no-cuda",
            hint="Use `device: cpu`, or the ONNX engine.",
        )
    model = ConformerTransducer.from_checkpoint(str(checkpoint))
    lines = tokens.read_text(encoding="utf-8").splitlines()
    names = tuple(line.rpartition(" ")[0] for line in lines if line)
    if len(names) != model.config.vocab:
        raise ModelError(
            f"{tokens} lists {len(names)} tokens, the checkpoint knows {model.config.vocab}",
            code="asr.model.vocabulary",
            hint="Take the tokens.txt that came with the model.",
        )
    info = ModelInfo(
        name=checkpoint.parent.name,
        tokens=names,
        blank=model.config.blank,
        chunks=CHUNKS,
        chunk=8,
        subsampling=ROWS,
        overlap=OVERLAP,
        silent=frozenset(i for i, name in enumerate(names) if name == "<unk>"),
        has_ctc=True,
    )
    return TorchEngine(model, info, slots=slots, device=device)


def _batch_size(count: int) -> int:
    """The next power of two: few sizes to capture, at most half of a batch empty."""
    return 1 << (count - 1).bit_length()
