"""``streamer say``, as a person runs it."""

from __future__ import annotations

import subprocess
import sys
import time
import wave
from pathlib import Path

import numpy as np

PROGRAM = [sys.executable, "-m", "streamer", "say"]


def seconds(path: Path) -> float:
    with wave.open(str(path)) as file:
        sound = np.frombuffer(file.readframes(file.getnframes()), "<i2")
        assert np.abs(sound).max() > 3000
        return len(sound) / file.getframerate()


def test_into_a_file(tmp_path: Path) -> None:
    out = tmp_path / "${out}.wav"
    result = subprocess.run(
        [*PROGRAM, "It costs ${5} or so, I am told.", "-o", out, "--speed", "1.2"],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert result.stderr == "" and 1.0 < seconds(out) < 4.0


def test_a_pipe_is_spoken_while_it_is_being_written(tmp_path: Path) -> None:
    out = tmp_path / "out.wav"
    process = subprocess.Popen([*PROGRAM, "-", "-o", out], stdin=subprocess.PIPE)
    assert process.stdin is not None
    text = "A caf\u00e9 is open. "
    process.stdin.write(text.encode()[:6])  # half a character
    process.stdin.flush()
    process.stdin.write(text.encode()[6:] + b"And ")
    process.stdin.flush()
    deadline = time.monotonic() + 30
    while not (out.exists() and out.stat().st_size > 0) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert out.exists() and process.poll() is None
    process.stdin.write(b"the sun shines.")
    process.stdin.close()
    assert process.wait(30) == 0
    assert seconds(out) > 2.0


def test_an_unknown_voice_is_told(tmp_path: Path) -> None:
    result = subprocess.run(
        [*PROGRAM, "Hello.", "-o", tmp_path / "a.wav", "--voice", "nobody"],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert result.returncode == 5 and "tts.voice.unknown" in result.stderr
