"""A record file is whole at any moment: killed, full, forbidden."""

from __future__ import annotations

import random
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import srt
import webvtt

from streamer.captions.output import RecordFile
from streamer.errors import OutputError

WRITER = """
import sys
from streamer.captions.formats import Srt, WebVtt
from streamer.captions.output import RecordFile
from streamer.packets import Transcript
form = {"vtt": WebVtt, "srt": Srt}[sys.argv[1]]()
file = RecordFile(sys.argv[2])
file.append(form.header)
for number in range(10**9):
    text = f"number {number} " + "and so on " * (number % 9)
    file.append(form.record(Transcript(text, number, number + 0.9, final=True), 0))
    print(number, flush=True)
"""


@pytest.mark.parametrize("kind", ["vtt", "srt"])
def test_killed_at_any_moment_the_file_parses_and_holds_all_acknowledged(
    tmp_path: Path, kind: str
) -> None:
    dice = random.Random(kind)
    for turn in range(10):
        path = tmp_path / f"{turn}.{kind}"
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, kind, str(path)], stdout=subprocess.PIPE, text=True
        )
        with process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(dice.random() * 0.05)
            process.send_signal(signal.SIGKILL)
            acknowledged = process.stdout.read().split()
        last = int(acknowledged[-1]) if acknowledged else 0
        content = path.read_text()
        if kind == "vtt":
            said = " ".join(c.text for c in webvtt.from_string(content).captions)
        else:
            said = " ".join(s.content for s in srt.parse(content))
        assert f"number {last} " in f"{' '.join(said.split())} "
        assert content.endswith("\n\n")


def test_a_full_disk_leaves_the_file_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    file = RecordFile(path)
    file.append("first\n")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))
    try:
        with pytest.raises(OutputError) as caught:
            file.append("second record\n")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert caught.value.code == "output.disk-full"
    assert path.read_text() == "first\n"
    file.append("third\n")
    assert path.read_text() == "first\nthird\n"
    file.close()


def test_a_device_without_room() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    file = RecordFile("/dev/full")
    with pytest.raises(OutputError) as caught:
        file.append("x")
    assert caught.value.code == "output.disk-full"
    file.close()


def test_a_folder_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(OutputError) as caught:
        RecordFile(tmp_path)
    assert caught.value.code == "output.unwritable"


def test_missing_folders_are_made(tmp_path: Path) -> None:
    file = RecordFile(tmp_path / "a" / "b.txt")
    file.append("x\n")
    file.close()
    assert (tmp_path / "a" / "b.txt").read_text() == "x\n"
