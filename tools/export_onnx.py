#!/usr/bin/env python
"""Export a checkpoint to ONNX: one set of files for our engine and for sherpa-onnx.

    export_onnx.py CHECKPOINT OUT --tokenizer FOLDER [--chunk 8] [--int8 | --package]

Writes encoder.onnx, decoder.onnx, joiner.onnx, tokens.txt and bpe.model; ``--int8`` also
*.int8.onnx. ``--package`` writes what ships: the int8 encoder, decoder and joiner in fp32 (they
are small), and the averaged weights in half precision, the largest matrices as int8, from which
all else can be made again.
Batch and chunk are dynamic: one file serves every chunk size. The metadata name one chunk,
which is the one that sherpa-onnx uses; export again with another ``--chunk`` for another.
The tensors are described in docs/asr-onnx-contract.md.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import warnings
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from streamer.asr.conformer import CHUNKS, ConformerConfig, ConformerTransducer, EncoderState

OPSET = 17
FRAME_MS = 80
PACKED_FROM = 500_000
"""Numbers in a matrix that ships as int8: those of feed-forward layers and attention."""


class EncoderExport(nn.Module):
    """Features ``[B, 80, R]`` as NeMo has them, then the encoder's step."""

    def __init__(self, model: ConformerTransducer) -> None:
        super().__init__()
        self.encoder = model.encoder

    def forward(
        self,
        audio_signal: Tensor,
        length: Tensor,
        channel: Tensor,
        time: Tensor,
        channel_len: Tensor,
    ) -> tuple[Tensor, ...]:
        state = EncoderState(channel, time, channel_len)
        out, ctc, frames, after = self.encoder.step(audio_signal.transpose(1, 2), length, state)
        return out.transpose(1, 2), frames, after.attention, after.convolution, after.length, ctc


class DecoderExport(nn.Module):
    """Stateless predictor in the clothes of an LSTM: the two state tensors hold the context.

    ``states.0`` is the last token fed plus one (0 = none yet), ``states.1`` is passed on.
    """

    def __init__(self, model: ConformerTransducer) -> None:
        super().__init__()
        self.predictor = model.predictor
        self.blank = model.config.blank

    def forward(
        self, targets: Tensor, target_length: Tensor, state0: Tensor, state1: Tensor
    ) -> tuple[Tensor, ...]:
        last = state0[0].to(torch.int64)  # [B, 1]
        before = torch.where(last > 0, last - 1, torch.full_like(last, self.blank))
        token = targets.to(torch.int64)
        out = self.predictor(torch.cat([before, token], dim=1)[:, None])  # [B, 1, J]
        after = (token + 1).to(state0.dtype)[None]
        return out.transpose(1, 2), target_length.clone(), after, state0 + 0.0 * state1


class JoinerExport(nn.Module):
    """``[B, J, T]`` and ``[B, J, U]`` to logits ``[B, T, U, V]``."""

    def __init__(self, model: ConformerTransducer) -> None:
        super().__init__()
        self.joiner = model.joiner

    def forward(self, encoder_outputs: Tensor, decoder_outputs: Tensor) -> Tensor:
        encoded = encoder_outputs.transpose(1, 2)[:, :, None]
        out: Tensor = self.joiner(encoded, decoder_outputs.transpose(1, 2)[:, None])
        return out


def _export(
    module: nn.Module,
    args: tuple[Tensor, ...],
    path: Path,
    inputs: dict[str, dict[int, str]],
    outputs: dict[str, dict[int, str]],
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval(),
            args,
            str(path),
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_axes={k: v for k, v in {**inputs, **outputs}.items() if v},
            opset_version=OPSET,
            dynamo=False,
        )


def metadata(config: ConformerConfig, chunk: int) -> dict[str, str]:
    """What sherpa-onnx reads, and what our engine reads besides."""
    return {
        "model_type": "streamer_conformer_transducer",
        "version": "1",
        "vocab_size": str(config.vocab - 1),
        "window_size": str(8 * chunk + 7),
        "chunk_shift": str(8 * chunk),
        "subsampling_factor": "8",
        "normalize_type": "NA",
        "pred_rnn_layers": "1",
        "pred_hidden": "1",
        "cache_last_channel_dim1": str(config.layers),
        "cache_last_channel_dim2": str(config.left),
        "cache_last_channel_dim3": str(2 * config.dim),
        "cache_last_time_dim1": str(config.layers),
        "cache_last_time_dim2": str(config.dim),
        "cache_last_time_dim3": str(config.kernel - 1),
        "chunks": ",".join(str(c) for c in CHUNKS),
        "frame_ms": str(FRAME_MS),
        "feature_dim": str(config.num_mel),
        "feature_type": "kaldi-fbank hann slaney 0-8000 no-dither no-dc-removal snip_edges=false",
    }


def set_metadata(path: Path, values: dict[str, str]) -> None:
    """Write metadata into an ONNX file, replacing what was there."""
    proto = onnx.load(str(path))
    del proto.metadata_props[:]
    for key, value in values.items():
        proto.metadata_props.add(key=key, value=value)
    onnx.save(proto, str(path))


def quantise(source: Path, target: Path) -> None:
    """Dynamic int8 of the matrix products; convolutions stay in float."""
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.quantization.shape_inference import quant_pre_process

    ready = source.with_suffix(".prepared.onnx")
    quant_pre_process(str(source), str(ready), skip_symbolic_shape=True)
    quantize_dynamic(
        str(ready),
        str(target),
        op_types_to_quantize=["MatMul", "Gemm"],
        per_channel=True,
        weight_type=QuantType.QInt8,
        extra_options={"MatMulConstBOnly": True},
    )
    ready.unlink()


def export(model: ConformerTransducer, out: Path, chunk: int, int8: bool) -> list[Path]:
    """Write the three files; returns their paths."""
    out.mkdir(parents=True, exist_ok=True)
    c, batch = model.config, 2
    state = model.encoder.initial(batch)
    rows = 8 * chunk + 7
    wide = {0: "batch"}
    encoder = out / "encoder.onnx"
    features = torch.zeros(batch, c.num_mel, rows)
    _export(
        EncoderExport(model),
        (features, torch.tensor([rows, rows]), *state),
        encoder,
        {
            "audio_signal": {0: "batch", 2: "rows"},
            "length": wide,
            "cache_last_channel": wide,
            "cache_last_time": wide,
            "cache_last_channel_len": wide,
        },
        {
            "encoded": {0: "batch", 2: "frames"},
            "encoded_len": wide,
            "cache_last_channel_next": wide,
            "cache_last_time_next": wide,
            "cache_last_channel_len_next": wide,
            "ctc_log_probs": {0: "batch", 1: "frames"},
        },
    )
    decoder = out / "decoder.onnx"
    token = torch.zeros(batch, 1, dtype=torch.int32)
    one = torch.ones(batch, dtype=torch.int32)
    hidden = torch.zeros(1, batch, 1)
    side = {1: "batch"}
    _export(
        DecoderExport(model),
        (token, one, hidden, hidden.clone()),
        decoder,
        {"targets": wide, "target_length": wide, "states.0": side, "states.1": side},
        {"outputs": wide, "prednet_lengths": wide, "next.0": side, "next.1": side},
    )
    joiner = out / "joiner.onnx"
    _export(
        JoinerExport(model),
        (torch.zeros(batch, c.joint, 3), torch.zeros(batch, c.joint, 2)),
        joiner,
        {
            "encoder_outputs": {0: "batch", 2: "frames"},
            "decoder_outputs": {0: "batch", 2: "labels"},
        },
        {"outputs": {0: "batch", 1: "frames", 2: "labels"}},
    )
    values = metadata(c, chunk)
    made = []
    for path in (encoder, decoder, joiner):
        if int8:
            small = path.with_suffix(".int8.onnx")
            quantise(path, small)
            made.append(small)
        made.append(path)
    for path in made:
        set_metadata(path, values)
    return made


def packed(weight: Tensor) -> Tensor | tuple[Tensor, Tensor]:
    """Half precision; the largest matrices as int8 with a scale for each row."""
    if not weight.is_floating_point():
        return weight
    if weight.ndim < 2 or weight.numel() < PACKED_FROM:
        return weight.half()
    axes = tuple(range(1, weight.ndim))
    scale = (weight.abs().amax(axes, keepdim=True) / 127).clamp(min=1e-8)
    return (weight / scale).round().to(torch.int8), scale


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument(
        "checkpoint", help="a file of train_asr.py, or 'random' for untrained weights"
    )
    parser.add_argument("out", type=Path)
    parser.add_argument(
        "--tokenizer", type=Path, required=True, help="folder with tokens.txt and bpe.model"
    )
    parser.add_argument(
        "--chunk", type=int, default=8, choices=CHUNKS, help="encoder frames of 80 ms"
    )
    parser.add_argument("--int8", action="store_true", help="also write *.int8.onnx")
    parser.add_argument("--package", action="store_true", help="write the files that ship")
    args = parser.parse_args()
    if args.checkpoint == "random":
        torch.manual_seed(1)
        model = ConformerTransducer(ConformerConfig()).eval()
    else:
        model = ConformerTransducer.from_checkpoint(args.checkpoint)
    made = export(model, args.out, args.chunk, args.int8 or args.package)
    if args.package:
        dropped = ("encoder.onnx", "decoder.int8.onnx", "joiner.int8.onnx")
        for name in dropped:
            (args.out / name).unlink()
        weights = {name: packed(value) for name, value in model.state_dict().items()}
        small = args.out / "checkpoint.pt"
        torch.save({"config": model.config.as_dict(), "model": weights}, small)
        made = [p for p in made if p.name not in dropped] + [small]
    for path in made:
        print(f"{path}  {path.stat().st_size / 1e6:.1f} MB")
    for name in ("tokens.txt", "bpe.model"):
        shutil.copy(args.tokenizer / name, args.out / name)


if __name__ == "__main__":
    main()
