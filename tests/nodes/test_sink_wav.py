"""What ``sink.wav`` leaves behind when things go wrong, with the program itself."""

from __future__ import annotations

import subprocess
import sys
import time
import wave
from pathlib import Path

GRAPH = """
version: 1
name: speak
nodes:
  text: {use: source.text, text: "One two three four five six seven eight nine ten, and so on."}
  tts: {use: tts.speak, in: text}
  sink: {use: sink.wav, in: tts, path: PATH}
"""


def start(folder: Path, path: str) -> subprocess.Popen[str]:
    graph = folder / "graph.yaml"
    graph.write_text(GRAPH.replace("PATH", path))
    command = [sys.executable, "-m", "streamer", "run", str(graph), "--no-summary"]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def test_a_killed_program_leaves_a_file_that_plays(tmp_path: Path) -> None:
    out = tmp_path / "out.wav"
    with start(tmp_path, str(out)) as process:
        deadline = time.monotonic() + 60
        while not (out.exists() and out.stat().st_size > 60_000) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert process.poll() is None
        process.kill()
    with wave.open(str(out)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 24000)
        frames = file.getnframes()
        assert frames >= 24000 and len(file.readframes(frames)) == 2 * frames


def test_a_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with start(tmp_path, str(tmp_path / "no" / "out.wav")) as process:
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 7 and "output.unwritable" in errors
