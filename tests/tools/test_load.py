"""The load generator: what it measures, on a made-up log and on a real gateway."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("jiwer")

from tools.load_clients import (  # noqa: E402
    RATE,
    Client,
    Heard,
    Script,
    Utterance,
    measure,
    percentiles,
    scripts,
    voice,
    word_errors,
)

ROOT = Path(__file__).parents[2]


def client() -> Client:
    """Voices at 1-2 s and 4-5 s; the service is 300 ms late with everything."""
    said = [Utterance("one two", RATE, 2 * RATE), Utterance("three", 4 * RATE, 5 * RATE)]
    made = Client(Script(np.zeros(6 * RATE, np.float32), said), began=100.0)
    made.heard = [
        Heard(101.8, 0, "one", False, [1.5]),
        Heard(102.3, 0, "one two", True, [1.5, 2.0]),
        Heard(105.3, 1, "tree", True, [5.0]),
    ]
    return made


def test_latencies_count_from_the_sample_in_question() -> None:
    figures = measure([client()])
    assert figures.first == pytest.approx([0.8, 1.3])
    assert figures.final == pytest.approx([0.3, 0.3])
    assert figures.word == pytest.approx([0.3, 0.3, 0.3])


def test_an_utterance_without_a_final_has_no_final_latency() -> None:
    made = client()
    made.heard = made.heard[:1]
    figures = measure([made])
    assert len(figures.first) == 1 and figures.final == []
    assert np.isnan(percentiles(figures.final)).all()


def test_errors_are_counted_over_all_clients() -> None:
    assert word_errors([client(), client()]) == pytest.approx(100 / 3)


def test_the_voice_is_found_between_silences() -> None:
    rng = np.random.default_rng(0)
    sound = rng.normal(0, 1e-4, 3 * RATE)
    sound[RATE : 2 * RATE] += rng.normal(0, 0.1, RATE)
    begin, end = voice(sound.astype(np.float32))
    assert abs(begin - RATE) <= 160 and abs(end - 2 * RATE) <= 160


@pytest.mark.parametrize("processes", ["1", "2"])
def test_frames_come_back_from_a_real_gateway(tmp_path: Path, processes: str) -> None:
    out = tmp_path / "echo.json"
    command = [sys.executable, "tools/load.py", "--echo", "--clients", "3", "--seconds", "3"]
    command += ["--processes", processes, "--ramp", "0.2", "--json", str(out)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=60)
    (row,) = json.loads(out.read_text())
    assert row["frames"] == 450
    assert row["coalesced"] < 225
    assert 0 < row["added_ms"][0] < 1000


def test_without_a_corpus_the_sample_is_spoken() -> None:
    first, second = scripts(None, 2, 12.0, 1.0)
    assert first.utterances[0].text.startswith("and mister john")
    assert second.utterances[0].text.startswith("unless to be")
    for script in (first, second):
        assert script.samples.size >= 12 * RATE
        begins = [u.begin for u in script.utterances]
        assert all(u.end < later for u, later in zip(script.utterances, begins[1:], strict=False))
