"""Kokoro's voices: what the network is given, and what becomes of its audio."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

for name in ("onnx", "onnxruntime", "soxr"):
    pytest.importorskip(name)

import onnx  # noqa: E402
from onnx import TensorProto, helper  # noqa: E402

from tools.asr_train import kokoro  # noqa: E402

INPUTS = (
    ("tokens", TensorProto.INT64, [1, "n"]),
    ("style", TensorProto.FLOAT, [1, 256]),
    ("speed", TensorProto.FLOAT, [1]),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A network that plays the mean of its style for 100 ms a token."""
    nodes = [
        helper.make_node("ReduceMean", ["style"], ["level"], keepdims=1),
        helper.make_node("Cast", ["tokens"], ["ones"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["ones", "zero"], ["nothing"]),
        helper.make_node("Add", ["nothing", "level"], ["row"]),
        helper.make_node("Mul", ["row", "long"], ["grid"]),
        helper.make_node("Div", ["grid", "speed"], ["slowed"]),
        helper.make_node("Mul", ["slowed", "speed"], ["audio"]),
    ]
    graph = helper.make_graph(
        nodes,
        "kokoro",
        [helper.make_tensor_value_info(*item) for item in INPUTS],
        [helper.make_tensor_value_info("audio", TensorProto.FLOAT, [2400, "n"])],
        [
            helper.make_tensor("zero", TensorProto.FLOAT, [1], [0.0]),
            helper.make_tensor("long", TensorProto.FLOAT, [2400, 1], [1.0] * 2400),
        ],
    )
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), tmp_path / "kokoro.onnx")
    vocab = {c: i + 1 for i, c in enumerate("abcdefghijklmnopqrstuvwxyzəɹʃʊɪʌˈ ,.")}
    (tmp_path / "vocab.json").write_text(json.dumps({"vocab": vocab}))
    (tmp_path / "voices").mkdir()
    for voice, level in (("af_one", 0.25), ("zm_two", 0.5)):
        np.full((510, 256), level, np.float32).tofile(tmp_path / "voices" / f"{voice}.bin")
    return tmp_path


def test_a_voice_speaks_every_phoneme(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kokoro, "phonemes", lambda text, accent: "həlˈʊ?.")
    speak = kokoro.kokoro_voice(folder)
    rng, heard = np.random.default_rng(0), set()
    for _ in range(30):
        audio, speaker = speak("hello", rng)
        _, voice, formant = speaker.split("-")
        heard.add(voice)
        level = {"af_one": 0.25, "zm_two": 0.5}[voice.split("+")[0]]  # of one gender: no mixing
        assert np.median(audio) == pytest.approx(level, rel=1e-3)
        seconds = (6 + 2) * 0.1 / float(formant)  # "?" is no phoneme; one pad at either end
        assert audio.size / 16_000 == pytest.approx(seconds, rel=0.01)
    assert {voice.split("+")[0] for voice in heard} == {"af_one", "zm_two"}


def test_without_voices_it_says_so(folder: Path) -> None:
    shutil.rmtree(folder / "voices")
    with pytest.raises(FileNotFoundError, match="no voices in"):
        kokoro.kokoro_voice(folder)


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="needs the program espeak-ng")
def test_phonemes_of_two_clauses_are_one_line() -> None:
    text = kokoro.phonemes("Red roses, and you.", "en-us")
    assert text.startswith("ɹˈɛd ɹˈoʊz") and ", " in text and text.endswith(".")
    assert "\n" not in text
