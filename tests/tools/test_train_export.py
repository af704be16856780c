"""The exported files keep the contract of docs/asr-onnx-contract.md."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
ort = pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")

from streamer.asr.conformer import CHUNKS, ConformerConfig, ConformerTransducer  # noqa: E402
from streamer.asr.features import LOG_FLOOR, log_mel  # noqa: E402
from tools.asr_train.scoring import transducer_greedy  # noqa: E402
from tools.export_onnx import export, packed  # noqa: E402

SMALL = ConformerConfig(
    vocab=30,
    channels=8,
    dim=32,
    hidden=64,
    heads=4,
    blocks=1,
    left=16,
    joint=24,
    embedding=12,
    rotary=8,
)


@pytest.fixture(scope="module")
def model() -> ConformerTransducer:
    torch.manual_seed(5)
    return ConformerTransducer(SMALL).eval()


@pytest.fixture(scope="module")
def folder(model: ConformerTransducer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("export")
    export(model, out, 8, int8=True)
    pieces = [f"▁t{i} {i}" for i in range(29)]
    (out / "tokens.txt").write_text("\n".join([*pieces, "<blk> 29"]) + "\n", encoding="utf-8")
    return out


def session(path: Path) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def zeros(batch: int) -> list[np.ndarray]:
    return [
        np.zeros((batch, 2, 16, 64), np.float32),
        np.zeros((batch, 2, 32, 8), np.float32),
        np.zeros(batch, np.int64),
    ]


@pytest.mark.parametrize("chunk", CHUNKS)
def test_one_encoder_serves_all_chunks(
    model: ConformerTransducer, folder: Path, chunk: int
) -> None:
    encoder = session(folder / "encoder.onnx")
    names = [i.name for i in encoder.get_inputs()]
    x = torch.randn(3, 8 * 48 + 7, 80) * 3 - 9
    with torch.inference_mode():
        whole, ctc, _ = model.encoder(x, torch.tensor([x.size(1)] * 3), chunk)
    state, outs, ctcs = zeros(3), [], []
    for begin in range(0, 8 * 48, 8 * chunk):
        window = x[:, begin : begin + 8 * chunk + 7].transpose(1, 2).numpy()
        rows = np.full(3, 8 * chunk + 7)
        feed = dict(zip(names, [window, rows, *state], strict=True))
        out, lengths, *state, log_probs = encoder.run(None, feed)
        assert lengths.tolist() == [chunk] * 3
        outs.append(out)
        ctcs.append(log_probs)
    assert np.abs(np.concatenate(outs, 2).transpose(0, 2, 1) - whole.numpy()).max() < 1e-4
    assert np.abs(np.concatenate(ctcs, 1) - ctc.numpy()).max() < 1e-4


def test_decoder_and_joiner(model: ConformerTransducer, folder: Path) -> None:
    decoder, joiner = session(folder / "decoder.onnx"), session(folder / "joiner.onnx")
    names = [i.name for i in decoder.get_inputs()]
    state = [np.zeros((1, 2, 1), np.float32)] * 2
    history = [29, 29]
    for token in (29, 4, 4, 17):
        history.append(token)
        targets = np.full((2, 1), token, np.int32)
        feed = dict(zip(names, [targets, np.ones(2, np.int32), *state], strict=True))
        out, _, *state = decoder.run(None, feed)
        with torch.inference_mode():
            want = model.predictor(torch.tensor([history[-2:]]))[0]
        assert np.abs(out[:, :, 0] - want.numpy()).max() < 1e-5
    encoded = np.random.default_rng(0).standard_normal((2, 24, 5)).astype(np.float32)
    logits = joiner.run(None, {"encoder_outputs": encoded, "decoder_outputs": out})[0]
    assert logits.shape == (2, 5, 1, 30)
    with torch.inference_mode():
        want = model.joiner(
            torch.from_numpy(encoded).transpose(1, 2)[:, :, None],
            torch.from_numpy(out).transpose(1, 2)[:, None],
        )
    assert np.abs(logits - want.numpy()).max() < 1e-5


def test_metadata_and_int8(folder: Path) -> None:
    for name in ("encoder.onnx", "encoder.int8.onnx"):
        values = session(folder / name).get_modelmeta().custom_metadata_map
        assert values["window_size"] == "71" and values["chunk_shift"] == "64"
        assert values["vocab_size"] == "29" and values["normalize_type"] == "NA"
        assert values["cache_last_channel_dim3"] == "64" and values["chunks"] == "2,4,8,16"
    window = (np.random.default_rng(1).standard_normal((1, 80, 71)) * 3 - 9).astype(np.float32)
    outs = []
    for name in ("encoder.onnx", "encoder.int8.onnx"):
        encoder = session(folder / name)
        names = [i.name for i in encoder.get_inputs()]
        feed = dict(zip(names, [window, np.array([71]), *zeros(1)], strict=True))
        outs.append(encoder.run(None, feed)[0])
    assert np.abs(outs[0] - outs[1]).max() < 0.2 * np.abs(outs[0]).max()


def test_sherpa_onnx_gives_the_same_tokens(model: ConformerTransducer, folder: Path) -> None:
    sherpa_onnx = pytest.importorskip("sherpa_onnx")
    recogniser = sherpa_onnx.OnlineRecognizer.from_transducer(
        tokens=str(folder / "tokens.txt"),
        encoder=str(folder / "encoder.onnx"),
        decoder=str(folder / "decoder.onnx"),
        joiner=str(folder / "joiner.onnx"),
        num_threads=1,
    )
    rng = np.random.default_rng(2)
    audio = (rng.standard_normal(16_000 * 4) * 0.1).astype(np.float32)
    stream = recogniser.create_stream()
    stream.accept_waveform(16_000, np.concatenate([audio, np.zeros(16_000, np.float32)]))
    stream.input_finished()
    while recogniser.is_ready(stream):
        recogniser.decode_stream(stream)
    theirs = recogniser.tokens(stream)
    features = log_mel(np.concatenate([audio, np.zeros(16_000, np.float32)]))
    windows = (len(features) - 72) // 64 + 1  # its readiness test wants one row more
    x = torch.from_numpy(features[: windows * 64 + 7])[None]
    assert x.min() >= LOG_FLOOR - 1e-3
    with torch.inference_mode():
        encoded, _, lengths = model.encoder(x, torch.tensor([x.size(1)]), 8)
        ours = transducer_greedy(model, encoded, lengths, max_symbols=10)[0]
    assert [t.strip() for t in theirs] == [f"t{i}" for i in ours]


def test_a_packed_checkpoint_is_the_model_again(tmp_path: Path) -> None:
    wide = ConformerTransducer(
        ConformerConfig(
            vocab=30,
            channels=8,
            dim=32,
            hidden=20_000,
            heads=4,
            blocks=1,
            upper=0,
            left=16,
            rotary=8,
        )
    ).eval()
    state = {name: packed(value) for name, value in wide.state_dict().items()}
    pairs = [name for name, value in state.items() if isinstance(value, tuple)]
    assert sorted(pairs) == [
        f"encoder.blocks.0.feed_forward.{end}.weight" for end in ("down", "up")
    ]
    path = tmp_path / "checkpoint.pt"
    torch.save({"config": wide.config.as_dict(), "model": state}, path)
    again = ConformerTransducer.from_checkpoint(str(path))
    for name, value in wide.state_dict().items():
        if value.is_floating_point():
            step = value.abs().max() / (127 if name in pairs else 1024)
            assert (again.state_dict()[name] - value).abs().max() <= step, name
