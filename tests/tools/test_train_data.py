"""Text form, feature stores, augmentation, batches and the recipe file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
for name in ("soundfile", "sentencepiece", "scipy"):
    pytest.importorskip(name)

import soundfile  # noqa: E402

from streamer.asr.features import LOG_FLOOR, log_mel  # noqa: E402
from tools.asr_train.augment import Augmenter, Strength  # noqa: E402
from tools.asr_train.batching import Prefetcher, Sampler, pad_batch  # noqa: E402
from tools.asr_train.recipe import Recipe, Stage  # noqa: E402
from tools.asr_train.store import Store, build_store  # noqa: E402
from tools.asr_train.text import is_clean, normalise  # noqa: E402
from tools.build_features import train_tokenizer  # noqa: E402

WORDS = "the cat sat on a mat and the dog did not like it at all so they ran home".split()


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("  Mr. Hale\u2019s well-known HOUSE\u2014quite. ", "mister hale's well known house quite"),
        ("'Tis 'quoted' text", "tis quoted text"),
        ("Caf\u00e9 na\u00efve", "cafe naive"),
        ("...", ""),
    ],
)
def test_normal_form(raw: str, clean: str) -> None:
    assert normalise(raw) == clean
    assert normalise(clean) == clean


def test_sentences_that_would_be_said_differently_are_left_out() -> None:
    assert is_clean("At last, we met.")
    for text in ("", "In 1812 he left.", "The U.S.A. army", "5 & 6"):
        assert not is_clean(text)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    folder = tmp_path / "tiny"
    folder.mkdir()
    rng = np.random.default_rng(0)
    rows = ["utt_id\tpath\tduration_s\tspeaker\ttext"]
    for i in range(24):
        seconds = float(rng.uniform(1.0, 2.5))
        audio = (rng.standard_normal(int(16_000 * seconds)) * 0.05).astype(np.float32)
        soundfile.write(folder / f"{i}.flac", audio, 16_000)
        text = " ".join(rng.choice(WORDS, 3)) if i else ""
        rows.append(f"u{i}\t{i}.flac\t{seconds:.3f}\ts{i % 3}\t{text}")
    (folder / "manifest.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder


@pytest.fixture
def stores(corpus: Path, tmp_path: Path) -> Path:
    build_store(corpus / "manifest.tsv", tmp_path / "stores" / "tiny")
    train_tokenizer([" ".join(WORDS)] * 50, tmp_path / "bpe", 40)
    return tmp_path / "stores"


def test_store_holds_the_features_and_grows(corpus: Path, stores: Path) -> None:
    store = Store.open(stores / "tiny")
    assert len(store) == 23  # the one without text is left out
    audio, _ = soundfile.read(corpus / "5.flac", dtype="float32")
    assert np.allclose(store.features(store.ids.index("u5")), log_mel(audio), atol=0.01)
    assert build_store(corpus / "manifest.tsv", stores / "tiny", {"u0": "A label."}) == 24
    again = Store.open(stores / "tiny")
    assert again.texts[-1] == "a label"
    assert np.array_equal(again.features(3), store.features(3))
    with (stores / "tiny" / "feats.f16").open("ab") as broken:
        broken.write(b"xx" * 80 * 3)  # a crash after the last index line
    assert build_store(corpus / "manifest.tsv", stores / "tiny") == 24


def test_tokens_file_has_blank_last(stores: Path) -> None:
    lines = (stores.parent / "bpe" / "tokens.txt").read_text(encoding="utf-8").splitlines()
    assert [int(line.rsplit(" ", 1)[1]) for line in lines] == list(range(41))
    assert lines[0] == "<unk> 0" and lines[-1] == "<blk> 40"


def test_augmentation_keeps_shape_and_range() -> None:
    rng = np.random.default_rng(0)
    x = log_mel((rng.standard_normal(32_000) * 0.1).astype(np.float32))
    everything = Strength(1, 1, 1, 1, 1, 1, 1)
    seen = set()
    for _ in range(30):
        y = Augmenter()(x, everything, rng)
        assert y.dtype == np.float32 and y.shape[1] == 80 and np.isfinite(y).all()
        assert y.min() >= LOG_FLOOR - 1e-3
        assert 0.8 * len(x) < len(y) < 1.3 * len(x) + 60
        seen.add(len(y))
    assert len(seen) > 10


def test_speed_and_warp() -> None:
    a = Augmenter()
    x = np.tile(np.arange(100, dtype=np.float32)[:, None], (1, 80))
    assert len(a.speed(x, 2.0)) == 50 and a.speed(x, 2.0)[10, 0] == 20
    bins = np.tile(np.arange(80, dtype=np.float32), (3, 1))
    assert np.allclose(a.warp(bins, 1.0), bins, atol=1e-4)
    warped = a.warp(bins, 1.15)
    assert (np.diff(warped[0]) > 0).all() and warped[0, 40] > bins[0, 40]
    assert warped[0, -1] == pytest.approx(79, abs=1.0)


def test_noise_reaches_the_wanted_ratio() -> None:
    rng = np.random.default_rng(0)
    x = np.full((500, 80), -4.0, np.float32)
    y = Augmenter().add_noise(x, rng, 0.0)
    assert np.mean(y) == pytest.approx(-4 + np.log(2), abs=0.4)


def test_batches_have_about_the_wanted_seconds(stores: Path) -> None:
    stage = Stage("s", 1, {"tiny": 1.0}, max_seconds=2.2, batch_seconds=8)
    sampler = Sampler(stores, stores.parent / "bpe" / "bpe.model", stage, (), 0)
    source = Prefetcher(iter(sampler))
    for _ in range(12):
        batch = next(source)
        assert batch.features.shape[0] == len(batch.rows) == len(batch.labels)
        assert (batch.features.shape[1] - 7) % 8 == 0
        assert batch.features.shape[1] >= int(batch.rows.max())
        assert batch.seconds < 8 + 0.5 * len(batch.rows) + 1
        assert 0 < int(batch.targets.max()) < 40
    source.close()


def test_an_error_on_the_thread_comes_out() -> None:
    def broken():  # type: ignore[no-untyped-def]
        yield pad_batch([np.zeros((20, 80), np.float32)], [[1]])
        raise ValueError("disk gone")

    source = Prefetcher(broken())
    next(source)
    with pytest.raises(ValueError, match="disk gone"):
        next(source)


def test_recipe(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    stages = [
        {"name": "a", "until_hours": 2, "sources": {"x": 1}},
        {"name": "b", "until_hours": 9, "sources": {"x": 1}, "augment": {"noise": 0.5}},
    ]
    path.write_text(
        json.dumps(
            {
                "stages": stages,
                "warmup_steps": 10,
                "decay_from_minutes": 5,
                "decay_to_minutes": 10,
                "learning_rate": 1.0,
            }
        )
    )
    recipe = Recipe.read(path)
    assert [recipe.stage_at(h).name for h in (0, 2, 100)] == ["a", "b", "b"]
    assert recipe.stage_at(3).augment.noise == 0.5
    assert recipe.rate_at(0, 0) == pytest.approx(0.1)
    assert recipe.rate_at(50, 4) == 1.0
    assert recipe.rate_at(50, 99) == pytest.approx(0.03)
    shipped = Path(__file__).parents[2] / "tools" / "asr_train" / "recipe.json"
    assert Recipe.read(shipped).stages
