"""`streamer run --record` and `streamer replay` as programs, with real models."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

GRAPH = """
version: 1
name: recorded
nodes:
  source: {use: source.file, path: "${SOURCE:?which file}", pace: "${PACE:-fast}"}
  vad:    {use: vad.silero, in: source, min_silence: "${SILENCE:-300ms}"}
  asr:    {use: asr.moonshine, in: {audio: source, speech: vad}, partials: false}
  text:   {use: sink.text, in: asr.final, path: "${OUT}"}
"""


def streamer(*args: object, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "streamer", *map(str, args)]
    return subprocess.run(
        command, env={**os.environ, **env}, capture_output=True, text=True, timeout=100
    )


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory, sample: Path) -> Path:
    folder = tmp_path_factory.mktemp("recorded")
    (folder / "graph.yaml").write_text(GRAPH)
    ran = streamer(
        "run", folder / "graph.yaml", "--record", folder / "r", "--no-summary",
        "--set", f"SOURCE={sample}", "--set", "SILENCE=250ms", OUT=str(folder / "said.txt"),
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    return folder


def test_a_replay_is_the_same_and_touches_nothing(recording: Path) -> None:
    (recording / "said.txt").write_text("mine")
    replayed = streamer("replay", recording / "r", "--check")
    assert replayed.returncode == 0, replayed.stderr
    said = [row for row in (recording / "r" / "nodes" / "asr.jsonl").read_text().splitlines()
            if '"port":"final"' in row]  # fmt: skip
    assert f"asr.final: {len(said)} packets as recorded" in replayed.stdout and len(said) >= 3
    assert (recording / "said.txt").read_text() == "mine"


def test_the_environment_is_not_recorded_and_settings_are(recording: Path) -> None:
    text = (recording / "r" / "graph.yaml").read_text()
    assert "${OUT}" in text and "250ms" in text and "${SOURCE" not in text
    about = json.loads((recording / "r" / "recording.json").read_text())
    assert about["environment"] == ["OUT"] and about["ended"]
    assert about["models"]["moonshine-base-en"]["encoder"]
    files = [path.read_bytes() for path in (recording / "r").rglob("*.*") if path.is_file()]
    assert not any(b"said.txt" in data for data in files)


def test_check_fails_where_the_graph_was_changed(recording: Path) -> None:
    path = recording / "r" / "graph.yaml"
    text = path.read_text()
    path.write_text(text.replace("250ms", "1500ms"))
    try:
        replayed = streamer("replay", recording / "r", "--check")
    finally:
        path.write_text(text)
    assert replayed.returncode == 6 and "recording.differs" in replayed.stderr
    assert "vad.speech -> asr at" in replayed.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_what_a_killed_run_recorded_is_replayed(tmp_path: Path, sample: Path) -> None:
    (tmp_path / "graph.yaml").write_text(GRAPH)
    command = [sys.executable, "-m", "streamer", "run", "graph.yaml", "--record", "r"]
    command += ["--set", f"SOURCE={sample}", "--set", "OUT=said.txt"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL)
    heard = tmp_path / "r" / "nodes" / "asr.jsonl"
    deadline = time.monotonic() + 60
    while not (heard.exists() and heard.stat().st_size > 500) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    replayed = streamer("replay", tmp_path / "r", "--check")
    assert replayed.returncode == 0, replayed.stderr
    assert "cut off" in replayed.stderr and "asr.final: " in replayed.stdout


def test_what_is_no_recording_is_refused(tmp_path: Path) -> None:
    refused = streamer("replay", tmp_path)
    assert refused.returncode == 3 and "recording.bad" in refused.stderr
