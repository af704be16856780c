"""The event detector as ONNX: one chunk at a time, its state in and out."""

from __future__ import annotations

import warnings
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from tools.event_train.model import CONTEXT, SUBSAMPLING, EventNet

__all__ = ["export"]

OPSET = 17
STATES = (*(f"conv{i}" for i in range(len(CONTEXT))), "gru")


class _Step(nn.Module):
    def __init__(self, model: EventNet) -> None:
        super().__init__()
        self.model = model

    def forward(self, features: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        logits, after = self.model(features, list(state))
        return torch.sigmoid(logits), *after


def export(model: EventNet, labels: tuple[str, ...], path: Path, **facts: str) -> None:
    """``features [B, 4 n, 80]`` and states to ``probabilities [B, n, C]`` and next states."""
    state = model.eval().initial(2)
    wide = {name: {1 if name == "gru" else 0: "batch"} for name in STATES}
    after = {f"{name}_next": axes for name, axes in wide.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            _Step(model),
            (torch.zeros(2, 8 * SUBSAMPLING, 80), *state),
            str(path),
            input_names=["features", *STATES],
            output_names=["probabilities", *after],
            dynamic_axes={
                "features": {0: "batch", 1: "rows"},
                "probabilities": {0: "batch", 1: "frames"},
                **wide,
                **after,
            },
            opset_version=OPSET,
            dynamo=False,
        )
    proto = onnx.load(str(path))
    values = {
        "model_type": "streamer_sound_events",
        "version": "1",
        "labels": "\t".join(labels),
        "subsampling_factor": str(SUBSAMPLING),
        **facts,
    }
    for key, value in values.items():
        proto.metadata_props.add(key=key, value=value)
    onnx.save(proto, str(path))
