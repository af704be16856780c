"""Runs a published ``.ort`` model as fast as if its weights had been stored plainly.

Moonshine's decoder keeps its weights as int8 and turns each into float with Cast, Mul and Add in
the graph. ONNX Runtime does not optimise graphs in its own format, so that this happens again for
every token, and takes four fifths of the time. Written out as ONNX and loaded again, the graph is
optimised and the weights are unpacked once.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import onnxruntime as ort

__all__ = ["as_onnx", "open_optimised"]

_IF_BODIES = (7, 1, 5, 6)
"""Fields of onnx.proto: ModelProto.graph, GraphProto.node, NodeProto.attribute, .g."""
_NAME = b"\x12\x01g"
"""GraphProto.name = "g": ONNX wants one, and ONNX Runtime writes none for the bodies of If."""


def open_optimised(path: Path, options: Any) -> Any:
    """An inference session for the ``.ort`` file ``path``; raises what ONNX Runtime raises."""
    return ort.InferenceSession(as_onnx(path), options, providers=["CPUExecutionProvider"])


def as_onnx(path: Path) -> bytes:
    """The graph of the ``.ort`` file ``path``, not optimised, as ONNX."""
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / "model.onnx"
        plain = ort.SessionOptions()
        plain.intra_op_num_threads = 1
        plain.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        plain.optimized_model_filepath = str(written)
        plain.add_session_config_entry("session.save_model_format", "ONNX")
        ort.InferenceSession(str(path), plain, providers=["CPUExecutionProvider"])
        return _rewrite(written.read_bytes(), _IF_BODIES, lambda graph: bytes(graph) + _NAME)


def _rewrite(
    message: bytes | memoryview, path: Sequence[int], change: Callable[[bytes | memoryview], bytes]
) -> bytes:
    """The protobuf ``message`` with ``change`` applied to all submessages at ``path``."""
    if not path:
        return change(message)
    view, out = memoryview(message), []
    at = kept = 0
    while at < len(view):
        tag, body = _varint(view, at)
        wire = tag & 7
        if wire == 0:
            _, end = _varint(view, body)
        elif wire == 2:
            length, body = _varint(view, body)
            end = body + length
            if tag >> 3 == path[0]:
                inner = _rewrite(view[body:end], path[1:], change)
                out += [bytes(view[kept:at]), _encode(tag), _encode(len(inner)), inner]
                kept = end
        else:
            end = body + (8 if wire == 1 else 4)
        at = end
    return b"".join([*out, bytes(view[kept:])])


def _varint(view: memoryview, at: int) -> tuple[int, int]:
    """The number at ``at`` and the index after it."""
    value = shift = 0
    while True:
        byte = view[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def _encode(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])
