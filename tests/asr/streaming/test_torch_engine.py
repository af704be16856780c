"""The torch engine beside the ONNX engine: same numbers, same isolation. On the CPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from streamer.asr.interop import load_engine
from streamer.asr.streaming import Decoder
from streamer.asr.streaming.search import BeamSearch, GreedySearch
from streamer.errors import ModelError
from tests.asr.streaming.helpers import TINY, finals
from tests.asr.tones import noise, random_tokens, say, spell

torch = pytest.importorskip("torch")
from streamer.asr.streaming.torch_engine import TorchEngine, load_torch_engine  # noqa: E402


def engine(slots: int = 8, device: str = "cpu") -> TorchEngine:
    return load_torch_engine(
        TINY / "checkpoint.pt", TINY / "tokens.txt", slots=slots, device=device
    )


def spoken(seed: int) -> tuple[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    tokens = random_tokens(rng, int(rng.integers(2, 14)))
    return spell(tokens), np.concatenate([noise(0.2, seed), say(tokens, rng)])


def test_encoder_predictor_and_joiner_equal_those_of_onnx() -> None:
    ours, theirs = engine(), load_engine(TINY, slots=8)
    assert ours.info.tokens == theirs.info.tokens
    rng = np.random.default_rng(0)
    mine = [ours.acquire() for _ in range(3)]
    yours = [theirs.acquire() for _ in range(3)]
    for chunk in (8, 2, 16, 4):
        for members in ([0, 1, 2], [2, 0], [1]):
            x = rng.normal(-8, 3, (len(members), ours.info.rows(chunk), 80)).astype(np.float32)
            a = ours.encode([mine[i] for i in members], x)
            b = theirs.encode([yours[i] for i in members], x)
            np.testing.assert_allclose(a.frames, b.frames, atol=1e-4)
            np.testing.assert_allclose(a.ctc, b.ctc, atol=1e-4)
    tokens = np.array([3, 7, ours.info.blank])
    (p, state), (q, other) = (e.predict(tokens, e.start(3)) for e in (ours, theirs))
    np.testing.assert_allclose(p, q, atol=1e-5)
    np.testing.assert_allclose(
        ours.predict(tokens[::-1].copy(), state)[0],
        theirs.predict(tokens[::-1].copy(), other)[0],
        atol=1e-5,
    )
    np.testing.assert_allclose(ours.join(a.frames, p[:1]), theirs.join(b.frames, q[:1]), atol=1e-4)


@pytest.mark.parametrize("chunk", [2, 8])
def test_it_hears_the_same(chunk: int) -> None:
    e = engine(slots=5)
    sentences = [spoken(seed) for seed in range(12)]
    for search in (GreedySearch(e), BeamSearch(e)):
        heard = Decoder(e, search, chunk).transcribe((audio for _, audio in sentences), batch=5)
        assert [finals(said) for said in heard] == [text for text, _ in sentences]
    assert e.free == 5


def test_a_reset_slot_begins_at_zero_and_its_neighbours_go_on() -> None:
    e = engine(slots=3)
    rng = np.random.default_rng(1)
    windows = rng.normal(-8, 3, (4, 1, e.info.rows(8), 80)).astype(np.float32)
    a, b = e.acquire(), e.acquire()
    first = e.encode([a], windows[0]).frames
    e.encode([b], windows[0])
    followed = e.encode([b], windows[1]).frames
    a = e.reset(a)
    c = e.acquire()
    e.encode([c], windows[0])
    both = e.encode([a, c], np.concatenate([windows[0], windows[1]])).frames
    np.testing.assert_allclose(both[:1], first, atol=1e-5)
    np.testing.assert_allclose(both[1:], followed, atol=1e-5)
    assert e.slot_bytes == load_engine(TINY).pool.slot_bytes


def test_what_cannot_work_is_refused(tmp_path: Path) -> None:
    if not torch.cuda.is_available():
        with pytest.raises(ModelError) as caught:
            engine(device="cuda")
        assert caught.value.code == "asr.torch.no-cuda"
    (tmp_path / "tokens.txt").write_text("a 0\n")
    with pytest.raises(ModelError) as caught:
        load_torch_engine(TINY / "checkpoint.pt", tmp_path / "tokens.txt")
    assert caught.value.code == "asr.model.vocabulary"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_captured_graphs_hear_the_same() -> None:
    e = engine(slots=8, device="cuda")
    sentences = [spoken(seed) for seed in range(12)]
    heard = Decoder(e, GreedySearch(e), 4).transcribe((audio for _, audio in sentences), batch=5)
    assert [finals(said) for said in heard] == [text for text, _ in sentences]
