"""Moonshine's encoder as start and as teacher."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
for name in ("onnx", "numba", "sentencepiece", "soundfile", "scipy"):
    pytest.importorskip(name)
moonshine_cpp = pytest.importorskip("moonshine_cpp")

from streamer.asr._conformer_layers import rotary_table  # noqa: E402
from streamer.asr.conformer import ConformerConfig, ConformerTransducer  # noqa: E402
from streamer.asr.features import log_mel  # noqa: E402
from tools.asr_train.loss import teacher_loss  # noqa: E402
from tools.asr_train.moonshine import Teacher, initialise  # noqa: E402
from tools.asr_train.store import Store, read_audio  # noqa: E402
from tools.build_teacher import build  # noqa: E402

ENCODER = Path(moonshine_cpp.__file__).parent / "models" / "base-en" / "encoder_model.ort"
SAMPLE = Path(__file__).parents[2] / "graphs" / "samples" / "austen.flac"


@pytest.fixture(scope="module")
def teacher() -> Teacher:
    return Teacher(ENCODER)


@torch.inference_mode()
def test_without_convolutions_at_24_ms_the_blocks_are_moonshine(teacher: Teacher) -> None:
    samples = read_audio(SAMPLE)[: 3 * 16_000]
    stem, last = teacher._session.run(teacher._outputs, {"input_values": samples[None]})
    model = ConformerTransducer(ConformerConfig()).eval()
    initialise(model, ENCODER)
    x, frames = torch.from_numpy(stem.copy()), stem.shape[1]
    table = rotary_table(frames, model.config.rotary)
    for block in model.encoder.blocks[:8]:
        block.convolution.out.weight.zero_()
        block.convolution.out.bias.zero_()
        x = block(x, table, torch.zeros(1, 1, frames, frames))
    assert (model.encoder.norm(x) - torch.from_numpy(last.copy())).abs().max() < 1e-3


def test_targets_follow_the_audio_at_40_ms(teacher: Teacher) -> None:
    samples = read_audio(SAMPLE)[: 4 * 16_000]
    frames = (len(log_mel(samples)) - 7) // 8 * 2
    targets = teacher.targets(samples, frames)
    assert targets.shape == (frames, 832) and np.isfinite(targets).all()
    stem, _ = teacher._session.run(teacher._outputs, {"input_values": samples[None]})
    for j in (3, 20, frames - 2):  # our frame j is centred near their frame 5 j / 3
        near = [np.corrcoef(targets[j, :416], stem[0, i])[0, 1] for i in range(stem.shape[1])]
        assert abs(int(np.argmax(near)) - 5 * j / 3) <= 2


def test_the_loss_is_zero_for_the_teacher_and_two_for_its_mean() -> None:
    torch.manual_seed(0)
    teacher = torch.randn(2, 30, 16)
    taught = torch.tensor([30, 12])
    assert teacher_loss(teacher[..., :8], teacher[..., 8:], teacher, taught) == 0
    nothing = torch.zeros(2, 30, 8)
    assert teacher_loss(nothing, nothing, teacher, taught) == pytest.approx(2, abs=0.1)
    beyond = teacher.clone()
    beyond[1, 12:] += 100  # frames without a teacher count nothing
    assert teacher_loss(beyond[..., :8], beyond[..., 8:], teacher, taught) == 0


def test_a_store_gains_targets_and_is_continued(teacher: Teacher, tmp_path: Path) -> None:
    corpus, folder = tmp_path / "corpus", tmp_path / "store"
    corpus.mkdir(), folder.mkdir()
    head = "utt_id\tpath\tduration_s\tspeaker\ttext\n"
    (corpus / "manifest.tsv").write_text(head + f"a\t{SAMPLE}\t15\ts\tx\n")
    (folder / "index.tsv").write_text("a\t0\t300\ts\tx\nb\t300\t100\ts\tx\n")
    (folder / "feats.f16").write_bytes(bytes(400 * 160))
    assert Store.open(folder).targets(0) is None
    assert build(teacher, folder, corpus) == 1
    size = (folder / "teacher.f16").stat().st_size
    assert build(teacher, folder, corpus) == 1
    assert (folder / "teacher.f16").stat().st_size == size
    store = Store.open(folder)
    targets = store.targets(0)
    assert targets is not None and targets.shape == ((300 - 7) // 8 * 2, 832)
    assert store.targets(1) is None
