"""The program itself, as a person runs it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import webvtt

ROOT = Path(__file__).parent.parent.parent
PROGRAM = [sys.executable, "-m", "streamer"]


def streamer(*args: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, *map(str, args)], cwd=cwd, capture_output=True, text=True, timeout=100
    )


@pytest.fixture(scope="module")
def records(sample: Path) -> list[dict[str, object]]:
    result = streamer("captions", sample, "--fast", "--format", "jsonl")
    assert result.returncode == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_json_lines_on_standard_output(records: list[dict[str, object]]) -> None:
    kinds = {record["type"] for record in records}
    assert kinds == {"partial", "final"}
    for record in records:
        assert {"text", "start", "end", "revision", "stable_len", "words"} <= record.keys()


def test_a_stable_prefix_is_never_taken_back(records: list[dict[str, object]]) -> None:
    stable: dict[object, str] = {}
    revisions: dict[object, int] = {}
    for record in records:
        segment, text = record["segment"], str(record["text"])
        assert text.startswith(stable.get(segment, ""))
        assert int(str(record["revision"])) == revisions.get(segment, -1) + 1
        stable[segment] = text[: int(str(record["stable_len"]))]
        revisions[segment] = int(str(record["revision"]))
    assert any(text for text in stable.values())


def test_raw_pcm_on_standard_input(sample: Path, tmp_path: Path) -> None:
    from streamer.audio.decode import AudioReader

    reader = AudioReader(sample)
    frames = reader.read(60)
    pcm = b"".join((f.samples[:, 0] * 32767).astype("<i2").tobytes() for f in frames)
    out = tmp_path / "out.txt"
    result = subprocess.run(
        [*PROGRAM, "captions", "-", "--format", "text"],
        input=pcm[: 2 * 16000 * 9],
        capture_output=True,
        timeout=100,
    )
    assert result.returncode == 0, result.stderr
    assert b"Dashwood" in result.stdout
    assert not out.exists()


@pytest.mark.parametrize(
    ("args", "code", "status"),
    [
        (["captions", "nothing.wav", "--fast"], "audio.not-found", 3),
        (["run", "nothing.yaml"], "graph.unreadable", 3),
        (["captions", "graphs/samples/austen.txt", "--fast"], "audio.unreadable", 3),
        (["captions", "graphs/samples/austen.flac", "--fast", "--model", "moonshine"],
         "model.unknown", 5),
        (["captions", "graphs/samples/austen.flac", "--fast", "--model", "silero-vad"],
         "model.unfit", 5),
        (["captions", "graphs/samples/austen.flac", "--fast", "-o", "/dev/full/x.vtt"],
         "output.unwritable", 7),
    ],
)  # fmt: skip
def test_errors_are_one_clear_line_without_a_traceback(
    args: list[str], code: str, status: int
) -> None:
    result = streamer(*args, cwd=ROOT)
    assert result.returncode == status, result.stderr
    assert code in result.stderr and "Traceback" not in result.stderr


def test_ctrl_c_finishes_what_was_said(sample: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.vtt"
    process = subprocess.Popen(
        [*PROGRAM, "captions", str(sample), "-o", str(out)],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "COLUMNS": "200"},
    )
    with process:
        time.sleep(7)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    said = " ".join(caption.text for caption in webvtt.read(str(out)).captions)
    assert said.startswith("And Mr. John Dashwood")


def test_killed_in_the_middle_the_captions_so_far_are_there(sample: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.vtt"
    with subprocess.Popen([*PROGRAM, "captions", str(sample), "-o", str(out)]) as process:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not (out.exists() and out.stat().st_size > 20):
            time.sleep(0.1)
        process.kill()
    captions = webvtt.read(str(out)).captions
    assert captions and captions[0].text.startswith("And Mr. John Dashwood")
