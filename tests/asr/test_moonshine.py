"""The model itself: greedy search, drafts, forced prefixes, limits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

from streamer import hub
from streamer.asr._tokenizer import PieceTokenizer
from streamer.asr.moonshine import RATE, Decoded, Moonshine, _loops
from streamer.asr.segment import Segment
from streamer.audio.decode import AudioReader
from streamer.errors import ModelError
from streamer.packets import Samples


@pytest.fixture(scope="module")
def model() -> Moonshine:
    files = hub.resolve("moonshine-base-en").files
    return Moonshine(files["encoder"], files["decoder"], files["tokenizer"])


@pytest.fixture(scope="module")
def sentence(sample: Path) -> Samples:
    """He was not an ill-disposed young man."""
    reader = AudioReader(str(sample))
    samples = np.concatenate([frame.samples[:, 0] for frame in reader.read(60)])
    reader.close()
    return samples[int(8.2 * RATE) : int(11.6 * RATE)]


@pytest.fixture(scope="module")
def decoded(model: Moonshine, sentence: Samples) -> Decoded:
    return model.decode(sentence)


def test_reads_a_sentence(model: Moonshine, decoded: Decoded) -> None:
    text = model.tokenizer.decode(decoded.tokens)
    assert text.lower().replace("-", " ").rstrip(".") == "he was not an ill disposed young man"
    assert len(decoded.probabilities) == len(decoded.tokens)
    assert all(0 < p <= 1 for p in decoded.probabilities)


@pytest.mark.parametrize(
    ("right", "wrong"), [(0, (999, 5)), (1, ()), (4, (999,)), (-1, (999,)), (None, (999, 5))]
)
def test_a_draft_never_changes_the_result(
    model: Moonshine,
    sentence: Samples,
    decoded: Decoded,
    right: int | None,
    wrong: tuple[int, ...],
) -> None:
    again = model.decode(sentence, draft=(*decoded.tokens[:right], *wrong))
    assert again.tokens == decoded.tokens
    assert np.allclose(again.probabilities, decoded.probabilities, atol=1e-3)


def test_a_forced_prefix_stands(model: Moonshine, sentence: Samples, decoded: Decoded) -> None:
    cut = len(decoded.tokens) // 2
    kept = model.decode(sentence, forced=decoded.tokens[:cut], draft=decoded.tokens[cut:])
    assert kept.tokens == decoded.tokens
    other = model.decode(sentence, forced=(999, *decoded.tokens[:2]))
    assert other.tokens[:3] == (999, *decoded.tokens[:2])


def test_unpacked_weights_give_what_the_published_file_gives(
    sentence: Samples, decoded: Decoded, monkeypatch: pytest.MonkeyPatch
) -> None:
    def plain(path: Path, options: ort.SessionOptions) -> ort.InferenceSession:
        return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    monkeypatch.setattr("streamer.asr.moonshine.open_optimised", plain)
    files = hub.resolve("moonshine-base-en").files
    expected = Moonshine(files["encoder"], files["decoder"], files["tokenizer"]).decode(sentence)
    assert decoded.tokens == expected.tokens
    assert np.allclose(decoded.probabilities, expected.probabilities, atol=1e-3)


@pytest.mark.parametrize("length", [0, 1, 399, 7999])
def test_very_short_audio(model: Moonshine, length: int) -> None:
    assert len(model.decode(np.zeros(length, np.float32)).tokens) <= 10


def test_noise_does_not_run_away(model: Moonshine) -> None:
    noise = np.random.default_rng(0).normal(0, 0.3, 2 * RATE).astype(np.float32)
    assert len(model.decode(noise).tokens) <= 2 * 6.5 + 6


def test_repetition_is_noticed() -> None:
    assert _loops([1, 2, 3, 2, 3, 2], 3)
    assert not _loops([1, 2, 3, 2, 3, 4], 3)
    assert _loops([5] * 5, 5)
    assert not _loops([5] * 4, 5)


def test_words_have_times_in_order_and_confidences(model: Moonshine, decoded: Decoded) -> None:
    segment = Segment(model, 3, 10 * RATE)
    segment.end, segment.voice_end = 14 * RATE, 13 * RATE
    final = segment.final(decoded)
    assert final.final
    assert final.segment == 3
    assert final.stable == final.text == " ".join(word.text for word in final.words)
    edges = [t for word in final.words for t in (word.start, word.end)]
    assert edges == sorted(edges)
    assert edges[0] == 10
    assert edges[-1] == pytest.approx(13)
    assert all(0 < word.confidence <= 1 for word in final.words)


def test_partials_only_when_something_changed(model: Moonshine, decoded: Decoded) -> None:
    segment = Segment(model, 0, 0, agreement=RATE)
    first = segment.partial(decoded, RATE)
    assert first is not None
    assert (first.revision, first.stable_len) == (0, 0)
    assert segment.partial(decoded, RATE * 3 // 2) is None
    settled = segment.partial(decoded, 2 * RATE)
    assert settled is not None
    assert settled.revision == 1
    assert settled.text == "He was not an ill-disposed young", "the newest word is held back"
    assert settled.stable_len == len(settled.text)
    assert settled.text.startswith(settled.stable)


def test_tokenizer_refuses_a_damaged_file(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.bin"
    path.write_bytes(b"\x03abc\x05xy")
    with pytest.raises(ModelError) as caught:
        PieceTokenizer(path)
    assert caught.value.code == "model.damaged"


def test_tokenizer_joins_bytes_and_words(tmp_path: Path) -> None:
    pieces = [b"<unk>", b"<s>", b"</s>", "▁caf".encode(), b"<0xC3>", b"<0xA9>", "▁x".encode()]
    path = tmp_path / "tokenizer.bin"
    long = b"y" * 200
    data = b"".join(bytes([len(p)]) + p for p in pieces)
    path.write_bytes(data + bytes([128 + 200 % 128, 200 // 128]) + long)
    tokenizer = PieceTokenizer(path)
    assert tokenizer.decode([1, 3, 4, 5, 6, 7, 2]) == "café x" + "y" * 200
    assert [tokenizer.starts_word(t) for t in (3, 4, 6)] == [True, False, True]
    assert tokenizer.decode([3, 4]) == "caf"


def test_a_damaged_model_file_is_named(tmp_path: Path) -> None:
    files = hub.resolve("moonshine-base-en").files
    broken = tmp_path / "encoder.ort"
    broken.write_bytes(b"not a model")
    with pytest.raises(ModelError) as caught:
        Moonshine(broken, files["decoder"], files["tokenizer"])
    assert caught.value.code == "model.damaged"
    assert "encoder.ort" in caught.value.message
