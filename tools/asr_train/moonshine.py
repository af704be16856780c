"""Moonshine's encoder as a starting point and as a teacher.

Its attention and feed-forward layers (Jeffries et al. 2024, arXiv:2410.15608; MIT) have seen far
more speech than can be had here. The Conformer takes them over and learns anew what differs: the
front-end (log-mel instead of samples, 40 ms frames instead of 24), the causal convolutions, and to
do without the future. ``targets`` gives what Moonshine itself makes of the audio, at 40 ms a frame.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import torch
from numpy.typing import NDArray
from onnx import numpy_helper

from streamer.asr._ort_format import as_onnx
from streamer.asr.conformer import ConformerTransducer, unpacked
from streamer.ort import session_options

__all__ = ["Teacher", "initialise"]

Array = NDArray[np.float32]
HOP, CENTRE = 640, 560
"""Samples between our frames, and the middle of what the first one sees."""
THEIR_HOP, THEIR_CENTRE = 384, 447
STEM = "/Transpose_output_0"


def _weights(model: onnx.ModelProto) -> dict[str, Array]:
    """``layers.N.<module>.weight`` as torch has it (``[out, in]``), norms and biases."""
    stored = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}

    def plain(name: str) -> Array:
        if name in stored:
            return np.asarray(stored[name], np.float32)
        base = name.removesuffix("_add_tensor")
        parts = [np.asarray(stored[base + x]) for x in ("_quantized", "_scale", "_zero_point")]
        return np.asarray(parts[0].astype(np.float32) * parts[1] + parts[2], np.float32)

    out: dict[str, Array] = {}
    for node in model.graph.node:
        found = re.fullmatch(r"/layers\.(\d+)/(.+)/MatMul_output_0", node.output[0])
        if node.op_type == "MatMul" and found and node.input[1].endswith("_add_tensor"):
            module = found[2].replace("/", ".")
            out[f"layers.{found[1]}.{module}.weight"] = plain(node.input[1]).T
    names = ["layer_norm.weight"]
    for i in range(8):
        ends = ("input_layernorm.weight", "post_attention_layernorm.weight", "mlp.fc1.bias")
        names += [f"layers.{i}.{end}" for end in (*ends, "mlp.fc2.bias")]
    return out | {name: plain(name) for name in names}


def _half_split(weight: Array, heads: int, rotary: int) -> Array:
    """Rows of a query or key projection from interleaved rotary pairs to two halves."""
    split = weight.reshape(heads, -1, weight.shape[1])
    turned = np.concatenate([split[:, 0:rotary:2], split[:, 1:rotary:2], split[:, rotary:]], axis=1)
    return turned.reshape(weight.shape)


def initialise(model: ConformerTransducer, encoder: Path) -> None:
    """Copy attention, feed-forward and norms from Moonshine base's ``encoder_model.ort``,

    or all that fits from an earlier checkpoint (``.pt``).
    """
    if encoder.suffix == ".pt":
        saved = torch.load(encoder, map_location="cpu", weights_only=True)["model"]
        model.load_state_dict(unpacked(saved), strict=False)
        return
    config, w = model.config, _weights(onnx.load_from_string(as_onnx(encoder)))
    with torch.no_grad():
        for i, block in enumerate(model.encoder.blocks[: model.config.blocks]):
            at = f"layers.{i}."
            q, k, v = (w[f"{at}self_attn.{x}_proj.weight"] for x in "qkv")
            q, k = (_half_split(x, config.heads, config.rotary) for x in (q, k))
            for target, value in (
                (block.attention.norm.weight, w[at + "input_layernorm.weight"]),
                (block.attention.qkv.weight, np.concatenate([q, k, v])),
                (block.attention.out.weight, w[at + "self_attn.dense.weight"]),
                (block.feed_forward.norm.weight, w[at + "post_attention_layernorm.weight"]),
                (block.feed_forward.up.weight, w[at + "mlp.fc1.weight"]),
                (block.feed_forward.up.bias, w[at + "mlp.fc1.bias"]),
                (block.feed_forward.down.weight, w[at + "mlp.fc2.weight"]),
                (block.feed_forward.down.bias, w[at + "mlp.fc2.bias"]),
            ):
                target.copy_(torch.from_numpy(value.copy()))
            block.attention.qkv.bias.zero_()
            block.attention.out.bias.zero_()
        model.encoder.norm.weight.copy_(torch.from_numpy(w["layer_norm.weight"].copy()))


class Teacher:
    """Runs Moonshine's encoder and resamples its frames to ours."""

    def __init__(self, encoder: Path, threads: int = 1) -> None:
        model = onnx.load_from_string(as_onnx(encoder))
        last = model.graph.output[0].name
        model.graph.output.extend([onnx.helper.make_empty_tensor_value_info(STEM)])
        self._outputs = [STEM, last]
        self._session = ort.InferenceSession(
            model.SerializeToString(), session_options(threads), providers=["CPUExecutionProvider"]
        )

    def targets(self, samples: Array, frames: int) -> Array:
        """``[frames, 2 D]``: embedded frames and last frames, weighted means around our frames."""
        stem, last = self._session.run(self._outputs, {"input_values": samples[None]})
        theirs = THEIR_HOP * np.arange(stem.shape[1]) + THEIR_CENTRE
        ours = HOP * np.arange(frames) + CENTRE
        near = np.maximum(1.0 - np.abs(theirs[None] - ours[:, None]) / HOP, 0.0)
        near[near.sum(axis=1) == 0, -1] = 1.0
        near = (near / near.sum(axis=1, keepdims=True)).astype(np.float32)
        return near @ np.concatenate([stem[0], last[0]], axis=1)
