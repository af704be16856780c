"""Evaluation tables and the synthetic corpus, without a model and without a voice."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

for name in ("soundfile", "soxr", "rich"):
    pytest.importorskip(name)

import soundfile  # noqa: E402
from rich.console import Console  # noqa: E402

from tools.asr_train.store import Utterance, read_manifest  # noqa: E402
from tools.evaluate import evaluate, show, signal_to_noise  # noqa: E402
from tools.synth_corpus import finish, held_back, read_sentences  # noqa: E402


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    folder = tmp_path / "librispeech-made-up"
    folder.mkdir()
    rng = np.random.default_rng(0)
    rows = ["utt_id\tpath\tduration_s\tspeaker\ttext"]
    for i, text in enumerate(["ONE TWO THREE", "FOUR FIVE SIX", "", "SEVEN EIGHT NINE TEN"]):
        audio = rng.standard_normal(16_000).astype(np.float32) * 0.1
        audio[:4000] *= 10 ** (-i)
        soundfile.write(folder / f"{i}.flac", audio, 16_000)
        rows.append(f"u{i}\t{i}.flac\t1.0\ts{i % 2}\t{text}")
    file = folder / "manifest.tsv"
    file.write_text("\n".join(rows) + "\nhalf\twritten", encoding="utf-8")
    return file


def test_rates_by_slice(manifest: Path) -> None:
    utterances = [u for u in read_manifest(manifest) if u.text]
    assert [u.utt_id for u in utterances] == ["u0", "u1", "u3"]

    def runner(items: Sequence[Utterance], chunk_ms: int, search: str) -> list[str]:
        return ["one two three", "four five", "seven ate nine ten" if chunk_ms < 500 else "x"]

    results, texts = evaluate(runner, utterances, [160, 640], ["greedy"], snr=True, speakers=True)
    whole = {r.chunk_ms: r for r in results if r.slice == "corpus"}
    assert whole[160].value == "librispeech-made-up" and whole[160].utterances == 3
    assert whole[160].wer.rate == pytest.approx(20.0) and whole[640].wer.rate == pytest.approx(50.0)
    assert whole[160].wer.low <= 20.0 <= whole[160].wer.high
    assert {r.value for r in results if r.slice == "speaker"} == {"s0", "s1"}
    assert sum(r.utterances for r in results if r.slice == "SNR" and r.chunk_ms == 160) == 3
    assert texts["greedy-160"]["u1"] == "four five"
    out = io.StringIO()
    show(results, Console(file=out, width=160))
    assert "20.0 [" in out.getvalue()


def test_signal_to_noise_follows_the_level_of_the_pauses() -> None:
    rng = np.random.default_rng(0)
    audio = rng.standard_normal(32_000).astype(np.float32) * 0.1
    values = []
    for decibels in (0, 20, 40):
        quiet = audio.copy()
        quiet[:8000] *= 10 ** (-decibels / 20)
        values.append(signal_to_noise(quiet))
    assert values[0] < 3 and abs(values[1] - 20) < 2 and abs(values[2] - 40) < 2


def test_sentences_are_held_back(tmp_path: Path) -> None:
    lines = [
        f"This is sentence number {'abcdefghij'[i % 10]} {'klmnopqrst'[i // 10 % 10]}."
        for i in range(100)
    ]
    lines += ["In 1812 nobody came here.", "No."]
    (tmp_path / "t.txt").write_text("\n".join(lines), encoding="utf-8")
    train = read_sentences(tmp_path, "train", 3, 10)
    test = read_sentences(tmp_path, "test", 3, 10)
    assert len(train) + len(test) == 100 and not set(train) & set(test)
    assert len(test) < 15 and all(held_back(t) for t in test)


def test_room_noise_and_level() -> None:
    rng = np.random.default_rng(3)
    tone = np.sin(np.arange(16_000) / 10).astype(np.float32)
    for room, noise in ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0)):
        out = finish(tone, rng, room, noise)
        assert out.dtype == np.float32 and np.isfinite(out).all()
        assert 16_000 < out.size < 32_000
        assert 0.1 < np.abs(out).max() <= 0.9
