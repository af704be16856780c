"""Public layouts: the same tokens as sherpa-onnx gives, and refusals with a sentence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from streamer.asr.interop import load_engine
from streamer.asr.streaming import Decoder, EndpointRules, StreamingEngine
from streamer.asr.streaming.search import BeamSearch, GreedySearch
from streamer.errors import ModelError
from tests.asr.streaming.helpers import TINY
from tests.asr.tones import noise, random_tokens, say

onnx = pytest.importorskip("onnx")
from tests.asr.interop.graphs import write_conformer, write_nemo, write_zipformer2  # noqa: E402

Writer = Callable[..., Path]
WRITERS: dict[str, Writer] = {
    "conformer": write_conformer,
    "zipformer2": write_zipformer2,
    "nemo": write_nemo,
    "nemo, 128 mel": lambda folder: write_nemo(folder, feat_dim=128),
}


def speech(seed: int, tokens: int = 20) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.concatenate([say(random_tokens(rng, tokens), rng), noise(1.0, seed)])


def heard(engine: StreamingEngine, audio: np.ndarray) -> list[str]:
    """Tokens in windows that the audio fills, without a tail: what sherpa-onnx decodes too."""
    dec = Decoder(engine, GreedySearch(engine), rules=EndpointRules(None, None, None))
    stream = dec.open()
    stream.windows.accept(audio)
    while stream.windows.ready:
        dec.step([stream])
    best = dec.search.best(stream.segmenter.state)
    stream.close()
    return [engine.info.tokens[token] for token in best.tokens]


def sherpa(folder: Path, audio: np.ndarray) -> list[str]:
    sherpa_onnx = pytest.importorskip("sherpa_onnx")
    recogniser = sherpa_onnx.OnlineRecognizer.from_transducer(
        *(
            str(folder / name)
            for name in ("tokens.txt", "encoder.onnx", "decoder.onnx", "joiner.onnx")
        )
    )
    stream = recogniser.create_stream()
    stream.accept_waveform(16000, audio)
    while recogniser.is_ready(stream):
        recogniser.decode_stream(stream)
    return [token.replace(" ", "\u2581") for token in recogniser.tokens(stream)]


@pytest.mark.parametrize("name", WRITERS)
def test_the_tokens_are_those_of_sherpa_onnx(tmp_path: Path, name: str) -> None:
    folder = WRITERS[name](tmp_path)
    engine = load_engine(folder)
    for seed in range(3):
        audio = speech(seed)
        ours, theirs = heard(engine, audio), sherpa(folder, audio)
        assert len(set(theirs)) > 3
        # Their readiness test wants one row more: we may be one window ahead.
        assert ours[: len(theirs)] == theirs
        assert len(ours) - len(theirs) < 40


def test_the_tiny_model_says_the_same_in_sherpa_onnx() -> None:
    engine = load_engine(TINY)
    for seed in range(3):
        audio = speech(seed)
        ours, theirs = heard(engine, audio), sherpa(TINY, audio)
        assert len(theirs) > 15
        assert ours == theirs


@pytest.mark.parametrize("name", WRITERS)
def test_batches_do_not_mix_states(tmp_path: Path, name: str) -> None:
    engine = load_engine(WRITERS[name](tmp_path), slots=4)
    dec = Decoder(engine, BeamSearch(engine))
    audio = [speech(seed, tokens=3 + 5 * seed) for seed in range(6)]
    together = [[t.text for t in said] for said in dec.transcribe(audio, batch=4)]
    alone = [[t.text for t in next(dec.transcribe([samples]))] for samples in audio]
    assert together == alone
    assert all(together)


@pytest.mark.parametrize(
    ("name", "changes", "code"),
    [
        ("conformer", {"T": 60}, "asr.model.metadata"),
        ("conformer", {"encoder_dim": 21}, "asr.model.metadata"),
        ("conformer", {"left_context": "many"}, "asr.model.metadata"),
        ("conformer", {"model_type": "lstm"}, "asr.model.layout"),
        ("zipformer2", {"num_heads": "2"}, "asr.model.metadata"),
        ("zipformer2", {"num_encoder_layers": "2,2"}, "asr.model.metadata"),
        ("zipformer2", {"feature": "whisper"}, "asr.model.layout"),
        ("nemo", {"normalize_type": "per_feature"}, "asr.model.layout"),
        ("nemo", {"window_size": 20}, "asr.model.metadata"),
        ("nemo", {"vocab_size": 30}, "asr.model.vocabulary"),
        ("nemo", {"prompt_dictionary": "{}"}, "asr.model.layout"),
    ],
)
def test_what_does_not_fit_is_refused(
    tmp_path: Path, name: str, changes: dict[str, object], code: str
) -> None:
    folder = WRITERS[name](tmp_path, **changes)
    with pytest.raises(ModelError) as caught:
        load_engine(folder)
    assert caught.value.code == code
    assert caught.value.hint


@pytest.mark.parametrize("key", ["T", "decode_chunk_len", "num_encoder_layers", "model_type"])
def test_missing_metadata_is_named(tmp_path: Path, key: str) -> None:
    folder = write_conformer(tmp_path)
    model = onnx.load(str(folder / "encoder.onnx"))
    kept = [prop for prop in model.metadata_props if prop.key != key]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    onnx.save(model, str(folder / "encoder.onnx"))
    with pytest.raises(ModelError, match=f"`{key}`") as caught:
        load_engine(folder)
    assert caught.value.code == "asr.model.metadata"


@pytest.mark.parametrize("part", ["encoder", "decoder", "joiner"])
def test_a_truncated_file_is_refused(tmp_path: Path, part: str) -> None:
    folder = write_nemo(tmp_path)
    path = folder / f"{part}.onnx"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ModelError, match=part) as caught:
        load_engine(folder)
    assert caught.value.code == "asr.model.damaged"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("a 0\nb 1\n", "asr.model.vocabulary"),
        ("a zero\n", "asr.model.vocabulary"),
        (None, "asr.model.missing"),
    ],
)
def test_tokens_that_are_not_the_model_s_are_refused(
    tmp_path: Path, text: str | None, code: str
) -> None:
    folder = write_zipformer2(tmp_path)
    if text is None:
        (folder / "tokens.txt").unlink()
    else:
        (folder / "tokens.txt").write_text(text)
    with pytest.raises(ModelError) as caught:
        load_engine(folder)
    assert caught.value.code == code


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError) as caught:
        load_engine(tmp_path)
    assert caught.value.code == "asr.model.missing"
    folder = write_nemo(tmp_path)
    with pytest.raises(ModelError) as caught:
        load_engine(folder, precision="int8")
    assert caught.value.code == "asr.model.missing"
    (folder / "encoder-two.onnx").write_bytes(b"")
    with pytest.raises(ModelError, match="several") as caught:
        load_engine(folder)
