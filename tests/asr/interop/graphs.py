"""Small random transducers in the public layouts, written with the onnx package.

They are no conformers inside, but every state tensor takes part in the result and moves on, so a
state in the wrong place, order or slot changes what is recognised.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

__all__ = ["VOCAB", "write_conformer", "write_nemo", "write_zipformer2"]

VOCAB = 24
DIM = 20
OPSET = 17
Shape = list[int | str]


class Graph:
    """A growing graph; ``node`` returns the name of its output."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.inputs: list[Any] = []
        self.outputs: list[Any] = []

    def input(self, name: str, shape: Shape, dtype: int = TensorProto.FLOAT) -> str:
        self.inputs.append(helper.make_tensor_value_info(name, dtype, shape))
        return name

    def output(self, source: str, name: str, shape: Shape, dtype: int = TensorProto.FLOAT) -> None:
        self.nodes.append(helper.make_node("Identity", [source], [name]))
        self.outputs.append(helper.make_tensor_value_info(name, dtype, shape))

    def constant(self, value: Any, dtype: Any = np.float32) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def weight(self, *shape: int, scale: float = 1.0) -> str:
        fan = shape[0] if len(shape) == 2 else int(np.prod(shape[1:]))
        return self.constant(self.rng.normal(0, scale / np.sqrt(fan), shape))

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        name = f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def mean(self, x: str, axes: list[int]) -> str:
        return self.node("ReduceMean", x, axes=axes, keepdims=0)

    def take(self, x: str, axis: int, begin: int, end: int) -> str:
        edges = (self.constant([v], np.int64) for v in (begin, end, axis))
        return self.node("Slice", x, *edges)

    def unsqueeze(self, x: str, *axes: int) -> str:
        return self.node("Unsqueeze", x, self.constant(list(axes), np.int64))

    def save(self, path: Path, metadata: dict[str, object]) -> None:
        graph = helper.make_graph(self.nodes, path.stem, self.inputs, self.outputs, self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
        model.ir_version = 9
        for key, value in metadata.items():
            model.metadata_props.add(key=key, value=str(value))
        onnx.checker.check_model(model)
        onnx.save(model, str(path))


def write_tokens(folder: Path, blank_last: bool) -> None:
    letters = [f"\u2581{chr(97 + i)}" if i % 2 else chr(97 + i) for i in range(VOCAB - 1)]
    tokens = [*letters, "<blk>"] if blank_last else ["<blk>", *letters]
    text = "".join(f"{token} {i}\n" for i, token in enumerate(tokens))
    (folder / "tokens.txt").write_text(text, encoding="utf-8")


def subsample(g: Graph, x: str, rows: int, frames: int, factor: int, mel: int = 80) -> str:
    """``[N, mel, rows] -> [N, frames, DIM]``; features are brought to a small scale."""
    kernel = rows - factor * (frames - 1)
    scaled = g.node("Mul", g.node("Add", x, g.constant(8.0)), g.constant(0.3))
    y = g.node("Conv", scaled, g.weight(DIM, mel, kernel), strides=[factor])
    return g.node("Tanh", g.node("Transpose", y, perm=[0, 2, 1]))


def stateless_parts(folder: Path) -> None:
    g = Graph(11)
    y = g.input("y", ["N", 2], TensorProto.INT64)
    embedded = g.node("Gather", g.weight(VOCAB, 8, scale=4.0), y)
    flat = g.node("Flatten", embedded, axis=1)
    g.output(g.node("MatMul", flat, g.weight(16, DIM, scale=1.5)), "decoder_out", ["N", DIM])
    g.save(folder / "decoder.onnx", {"vocab_size": VOCAB, "context_size": 2})
    g = Graph(12)
    e, d = g.input("encoder_out", ["N", DIM]), g.input("decoder_out", ["N", DIM])
    joined = g.node("Tanh", g.node("Add", e, d))
    bias = np.zeros(VOCAB)
    bias[0] = 3.5
    logit = g.node(
        "Add", g.node("MatMul", joined, g.weight(DIM, VOCAB, scale=4.0)), g.constant(bias)
    )
    g.output(logit, "logit", ["N", VOCAB])
    g.save(folder / "joiner.onnx", {"joiner_dim": DIM})
    write_tokens(folder, blank_last=False)


def write_conformer(folder: Path, **changes: object) -> Path:
    """icefall's conformer layout: two layers, 16 frames a chunk, 8 frames of left context."""
    layers, left, kernel, chunk, rows = 2, 8, 5, 16, 75
    g = Graph(1)
    x = g.input("x", ["N", rows, 80])
    attention = g.input("cached_attn", [layers, left, "N", DIM])
    convolution = g.input("cached_conv", [layers, kernel - 1, "N", DIM])
    processed = g.input("processed_lens", ["N"], TensorProto.INT64)
    y = subsample(g, g.node("Transpose", x, perm=[0, 2, 1]), rows, chunk, 4)
    past = g.node("Add", g.mean(attention, [0, 1]), g.mean(convolution, [0, 1]))
    unused = g.node("Cast", processed, to=TensorProto.FLOAT)
    unused = g.unsqueeze(g.node("Mul", unused, g.constant(0.0)), 1, 2)
    y = g.node("Add", g.node("Add", y, g.unsqueeze(past, 1)), unused)
    g.output(g.node("MatMul", y, g.weight(DIM, DIM, scale=2.0)), "encoder_out", ["N", chunk, DIM])
    frames = g.unsqueeze(g.node("Transpose", y, perm=[1, 0, 2]), 0)
    double = g.node("Concat", frames, g.node("Tanh", frames), axis=0)
    joined = g.node("Concat", attention, double, axis=1)
    g.output(g.take(joined, 1, chunk, chunk + left), "new_attn", [layers, left, "N", DIM])
    joined = g.node("Concat", convolution, double, axis=1)
    tail = g.take(joined, 1, chunk, chunk + kernel - 1)
    g.output(tail, "new_conv", [layers, kernel - 1, "N", DIM])
    values: dict[str, object] = {
        "model_type": "conformer",
        "version": 1,
        "num_encoder_layers": layers,
        "T": rows,
        "decode_chunk_len": chunk * 4,
        "left_context": left,
        "encoder_dim": DIM,
        "pad_length": rows - chunk * 4,
        "cnn_module_kernel": kernel,
    }
    g.save(folder / "encoder.onnx", values | changes)
    stateless_parts(folder)
    return folder


def write_zipformer2(folder: Path, **changes: object) -> Path:
    """icefall's zipformer2 layout: two stacks of one and two layers, 8 frames a chunk."""
    dims, layers, heads, query, value, kernels, lefts = (
        [DIM, 12], [1, 2], [2, 1], [4, 6], [3, 5], [7, 5], [16, 8],
    )  # fmt: skip
    chunk, rows = 8, 45
    g = Graph(2)
    x = g.input("x", ["N", rows, 80])
    y = subsample(g, g.node("Transpose", x, perm=[0, 2, 1]), rows, chunk, 4)
    summary = g.mean(y, [1])
    news: list[tuple[str, str, Shape]] = []
    index = 0
    for stack, count in enumerate(layers):
        for _ in range(count):
            left, dim = lefts[stack], dims[stack]
            shapes: list[tuple[str, Shape]] = [
                ("cached_key", [left, "N", query[stack] * heads[stack]]),
                ("cached_nonlin_attn", [1, "N", left, 3 * dim // 4]),
                ("cached_val1", [left, "N", value[stack] * heads[stack]]),
                ("cached_val2", [left, "N", value[stack] * heads[stack]]),
                ("cached_conv1", ["N", dim, kernels[stack] // 2]),
                ("cached_conv2", ["N", dim, kernels[stack] // 2]),
            ]
            for name, shape in shapes:
                state = g.input(f"{name}_{index}", shape)
                y, after = _mix(g, y, summary, state, shape)
                news.append((after, f"new_{name}_{index}", shape))
            index += 1
    embed = g.input("embed_states", ["N", 128, 3, 19])
    y, after = _mix(g, y, summary, embed, ["N", 128, 3, 19])
    news.append((after, "new_embed_states", ["N", 128, 3, 19]))
    processed = g.input("processed_lens", ["N"], TensorProto.INT64)
    late = g.node("Cast", g.node("Greater", processed, g.constant(20, np.int64)), to=1)
    y = g.node("Add", y, g.unsqueeze(g.node("Mul", late, g.constant(0.5)), 1, 2))
    g.output(g.node("MatMul", y, g.weight(DIM, DIM, scale=2.0)), "encoder_out", ["N", chunk, DIM])
    for after, name, shape in news:
        g.output(after, name, shape)
    counted = g.node("Add", processed, g.constant(chunk, np.int64))
    g.output(counted, "new_processed_lens", ["N"], TensorProto.INT64)
    joined = {
        "encoder_dims": dims,
        "query_head_dims": query,
        "value_head_dims": value,
        "num_heads": heads,
        "num_encoder_layers": layers,
        "cnn_module_kernels": kernels,
        "left_context_len": lefts,
    }
    values: dict[str, object] = {k: ",".join(map(str, v)) for k, v in joined.items()}
    values |= {"model_type": "zipformer2", "version": 1, "T": rows, "decode_chunk_len": chunk * 4}
    g.save(folder / "encoder.onnx", values | changes)
    stateless_parts(folder)
    return folder


def _mix(g: Graph, y: str, summary: str, state: str, shape: Shape) -> tuple[str, str]:
    """The state's mean goes into the frames; the frames' mean goes into the state, fading."""
    batch = shape.index("N")
    others = [axis for axis in range(len(shape)) if axis != batch]
    mean = g.unsqueeze(g.mean(state, others), 1, 2)
    y = g.node("Add", y, g.node("Mul", mean, g.weight(1, DIM)))
    own = g.node("MatMul", summary, g.weight(DIM, 1, scale=2.0))
    for axis in (a for a in others if a < batch):
        own = g.unsqueeze(own, axis)
    while_behind = sum(a > batch for a in others) - 1
    for _ in range(max(while_behind, 0)):
        own = g.unsqueeze(own, -1)
    if while_behind < 0:
        own = g.node("Squeeze", own, g.constant([-1], np.int64))
    return y, g.node("Add", g.node("Mul", state, g.constant(0.7)), own)


def write_nemo(folder: Path, **changes: object) -> Path:
    """NeMo cache-aware layout with a recurrent predictor of two layers; blank is last."""
    layers, cache, width, kernel, chunk, hidden = 2, 6, DIM, 4, 4, 16
    rows, shift = chunk * 8 + 9, chunk * 8
    mel = int(str(changes.get("feat_dim", 80)))
    g = Graph(3)
    x = g.input("audio_signal", ["N", mel, "T"])
    length = g.input("length", ["N"], TensorProto.INT64)
    channel = g.input("cache_last_channel", ["N", layers, cache, width])
    time = g.input("cache_last_time", ["N", layers, width, kernel])
    valid = g.input("cache_last_channel_len", ["N"], TensorProto.INT64)
    y = subsample(g, x, rows, chunk, 8, mel)
    past = g.node("Add", g.mean(channel, [1, 2]), g.mean(time, [1, 3]))
    share = g.node("Mul", g.node("Cast", valid, to=1), g.constant(0.1))
    y = g.node("Add", g.node("Add", y, g.unsqueeze(past, 1)), g.unsqueeze(share, 1, 2))
    frames = g.node("MatMul", y, g.weight(DIM, DIM, scale=2.0))
    g.output(g.node("Transpose", frames, perm=[0, 2, 1]), "outputs", ["N", DIM, chunk])
    count = g.node(
        "Add", g.node("Mul", length, g.constant(0, np.int64)), g.constant(chunk, np.int64)
    )
    g.output(count, "encoded_lengths", ["N"], TensorProto.INT64)
    four = g.unsqueeze(y, 1)
    double = g.node("Concat", four, g.node("Tanh", four), axis=1)
    joined = g.node("Concat", channel, double, axis=2)
    g.output(g.take(joined, 2, chunk, chunk + cache), "next_channel", ["N", layers, cache, width])
    joined = g.node("Concat", time, g.node("Transpose", double, perm=[0, 1, 3, 2]), axis=3)
    g.output(g.take(joined, 3, chunk, chunk + kernel), "next_time", ["N", layers, width, kernel])
    grown = g.node(
        "Min", g.node("Add", valid, g.constant(chunk, np.int64)), g.constant(cache, np.int64)
    )
    g.output(grown, "next_len", ["N"], TensorProto.INT64)
    values: dict[str, object] = {
        "vocab_size": VOCAB - 1,
        "window_size": rows,
        "chunk_shift": shift,
        "subsampling_factor": 8,
        "normalize_type": "NA",
        "pred_rnn_layers": layers,
        "pred_hidden": hidden,
        "cache_last_channel_dim1": layers,
        "cache_last_channel_dim2": cache,
        "cache_last_channel_dim3": width,
        "cache_last_time_dim1": layers,
        "cache_last_time_dim2": width,
        "cache_last_time_dim3": kernel,
    }
    g.save(folder / "encoder.onnx", values | changes)

    g = Graph(4)
    token = g.input("targets", ["N", 1], TensorProto.INT32)
    ones = g.input("target_length", ["N"], TensorProto.INT32)
    h = g.input("states.0", [layers, "N", hidden])
    c = g.input("states.1", [layers, "N", hidden])
    embedded = g.node("Gather", g.weight(VOCAB, hidden, scale=4.0), token)
    row = g.node("Transpose", embedded, perm=[1, 0, 2])
    new_h = g.node("Tanh", g.node("Add", g.node("MatMul", h, g.weight(hidden, hidden)), row))
    new_c = g.node("Tanh", g.node("Add", g.node("Mul", c, g.constant(0.5)), new_h))
    out = g.node(
        "MatMul", g.mean(g.node("Add", new_h, new_c), [0]), g.weight(hidden, DIM, scale=2.0)
    )
    g.output(g.unsqueeze(out, 2), "outputs", ["N", DIM, 1])
    g.output(ones, "prednet_lengths", ["N"], TensorProto.INT32)
    g.output(new_h, "next.0", [layers, "N", hidden])
    g.output(new_c, "next.1", [layers, "N", hidden])
    g.save(folder / "decoder.onnx", values)

    g = Graph(5)
    e = g.input("encoder_outputs", ["N", DIM, "T"])
    d = g.input("decoder_outputs", ["N", DIM, "U"])
    e4 = g.unsqueeze(g.node("Transpose", e, perm=[0, 2, 1]), 2)
    d4 = g.unsqueeze(g.node("Transpose", d, perm=[0, 2, 1]), 1)
    bias = np.zeros(VOCAB)
    bias[-1] = 6.0
    joined = g.node(
        "MatMul", g.node("Tanh", g.node("Add", e4, d4)), g.weight(DIM, VOCAB, scale=4.0)
    )
    g.output(g.node("Add", joined, g.constant(bias)), "outputs", ["N", "T", "U", VOCAB])
    g.save(folder / "joiner.onnx", values)
    write_tokens(folder, blank_last=True)
    return folder
