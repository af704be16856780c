"""Open a model folder: find the files, read what they are, check that they fit together."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import onnxruntime as ort

from streamer.asr.interop.icefall import ConformerLayout, Zipformer2Layout
from streamer.asr.interop.metadata import Metadata
from streamer.asr.interop.nemo import NemoLayout
from streamer.asr.streaming.layout import Layout
from streamer.asr.streaming.onnx_engine import OnnxEngine, open_session
from streamer.errors import ModelError

__all__ = ["Precision", "load_engine"]

Precision = Literal["fp32", "int8"]


def load_engine(
    model: Path | Mapping[str, Path],
    *,
    precision: Precision = "fp32",
    threads: int = 1,
    slots: int = 64,
) -> OnnxEngine:
    """A streaming transducer: our own export, or a public one in a layout of sherpa-onnx.

    ``model`` is a folder with ``encoder*.onnx``, ``decoder*.onnx``, ``joiner*.onnx`` and
    ``tokens.txt``, or the files by these names (``encoder.int8`` and so on where there are both
    precisions; what there is only once is taken as it is). Layouts: NeMo cache-aware,
    conformer, zipformer2. ``slots`` is the number of sessions that may be open at once. Raises
    :class:`ModelError` (``asr.model.*``).
    """
    parts = ("encoder", "decoder", "joiner")
    if isinstance(model, Path):
        paths = {part: find(model, part, precision) for part in parts}
        tokens = model / "tokens.txt"
    else:
        suffix = ".int8" if precision == "int8" else ""
        paths = {part: model.get(part + suffix) or model[part] for part in parts}
        tokens = model["tokens"]
    encoder, decoder = (open_session(paths[part], threads) for part in ("encoder", "decoder"))
    joiner = open_session(paths["joiner"], threads)
    layout = _layout(paths["encoder"], encoder, paths["decoder"], decoder, tokens)
    _check_states(paths["encoder"], encoder, layout)
    _check_vocabulary(paths["joiner"], joiner, layout)
    return OnnxEngine(layout, encoder, decoder, joiner, slots)


def find(folder: Path, part: str, precision: Precision) -> Path:
    """``part*.onnx`` of the wanted precision; decoders often come in fp32 alone."""
    every = sorted(folder.glob(f"{part}*.onnx"))
    small = [path for path in every if path.name.endswith(".int8.onnx")]
    large = [path for path in every if path not in small]
    wanted = (small if precision == "int8" else large) or (every if part != "encoder" else [])
    if not wanted:
        raise ModelError(
            f"{folder} has no {precision} {part}",
            code="asr.model.missing",
            hint="A model folder holds encoder, decoder, joiner and tokens.txt.",
        )
    if len(wanted) > 1:
        raise ModelError(
            f"{folder} has several {precision} {part}s: {', '.join(p.name for p in wanted)}",
            code="asr.model.missing",
            hint="Keep one of each in the folder.",
        )
    return wanted[0]


def _layout(
    encoder_path: Path,
    encoder: ort.InferenceSession,
    decoder_path: Path,
    decoder: ort.InferenceSession,
    tokens: Path,
) -> Layout:
    meta = Metadata(encoder_path, encoder)
    if len(decoder.get_outputs()) > 1:
        return NemoLayout(meta, tokens, len(encoder.get_outputs()))
    kind = meta.text("model_type")
    if kind == "conformer":
        return ConformerLayout(meta, Metadata(decoder_path, decoder), tokens)
    if kind == "zipformer2":
        return Zipformer2Layout(meta, Metadata(decoder_path, decoder), tokens)
    raise ModelError(
        f"{encoder_path.name} is of type {kind!r}",
        code="asr.model.layout",
        hint="Known are conformer, zipformer2 and NeMo cache-aware transducers.",
    )


def _check_states(path: Path, session: ort.InferenceSession, layout: Layout) -> None:
    """The graph's inputs must end in the states that the metadata promise."""
    inputs = session.get_inputs()
    lead = 2 if isinstance(layout, NemoLayout) else 1
    found = [list(item.shape) for item in inputs[lead:]]
    fits = len(found) == len(layout.states) and all(
        len(shape) == len(spec.shape)
        and all(
            axis == spec.axis or not isinstance(size, int) or size == spec.shape[axis]
            for axis, size in enumerate(shape)
        )
        for shape, spec in zip(found, layout.states, strict=False)
    )
    if not fits:
        raise ModelError(
            f"the inputs of {path.name} are not those its metadata describe",
            code="asr.model.metadata",
            hint="Export the model again.",
        )
    batch = inputs[0].shape[0]
    if isinstance(batch, int):
        raise ModelError(
            f"{path.name} was exported for a fixed batch of {batch}",
            code="asr.model.layout",
            hint="Export it with a dynamic batch axis.",
        )


def _check_vocabulary(path: Path, session: ort.InferenceSession, layout: Layout) -> None:
    logits = session.get_outputs()[0].shape[-1]
    if isinstance(logits, int) and logits != layout.info.vocab:
        raise ModelError(
            f"{path.name} gives {logits} logits, tokens.txt lists {layout.info.vocab} tokens",
            code="asr.model.vocabulary",
            hint="Take the tokens.txt that came with the model.",
        )
