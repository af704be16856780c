"""One thread while others are busy, all of them again afterwards."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from tools.asr_train.governor import Governor  # noqa: E402


def write(stat: Path, user_seconds: float) -> None:
    ticks = int(user_seconds * os.sysconf("SC_CLK_TCK"))
    stat.write_text(f"cpu  {ticks} 0 0 1000 0 0 0 0 0 0\n")


def test_threads_follow_the_load_of_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.get_num_threads()
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    own = os.times()
    monkeypatch.setattr(os, "times", lambda: own)  # this process does nothing
    stat = tmp_path / "stat"
    write(stat, 100.0)
    try:
        governor = Governor(2, period=4.0, stat=stat)
        now += 1.0
        assert governor.update() == 2  # too early to look
        now += 9.0
        write(stat, 110.0)  # somebody held one core all the time
        assert governor.update() == 1
        assert torch.get_num_threads() == 1
        now += 10.0
        write(stat, 111.0)
        assert governor.update() == 2
        now += 10.0
        write(stat, 131.0)  # both cores: still one thread, never none
        assert governor.update() == 1
    finally:
        torch.set_num_threads(before)


def test_without_proc_nothing_happens(tmp_path: Path) -> None:
    governor = Governor(3, period=0.0, stat=tmp_path / "missing")
    assert governor.update() == 3
