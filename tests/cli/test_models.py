"""``streamer models`` as a person calls it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from streamer.cli.models import models
from streamer.errors import ModelError


@pytest.fixture
def invoke(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Result]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("STREAMER_MODELS", str(tmp_path / "own"))
    return lambda *args: CliRunner().invoke(models, args, env={"COLUMNS": "150"})


def absent(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    file = {"path": "weights.bin", "size": 3, "sha256": "0" * 64}
    entry = {
        "name": "absent",
        "version": "1",
        "task": "vad",
        "licence": "MIT",
        "files": {"weights": file},
    }
    (tmp_path / "own" / "absent.yaml").write_text(json.dumps(entry))


@pytest.mark.parametrize("args", [(), ("list",)])
def test_table(invoke: Callable[..., Result], args: tuple[str, ...], tmp_path: Path) -> None:
    absent(tmp_path)
    result = invoke(*args)
    assert result.exit_code == 0
    line = {words[0]: words for words in map(str.split, result.stdout.splitlines())}
    assert line["moonshine-base-en"][-1] == "yes"
    assert line["absent"][-1] == "no"


def test_json(invoke: Callable[..., Result], tmp_path: Path) -> None:
    absent(tmp_path)
    found = {entry["name"]: entry for entry in json.loads(invoke("list", "--json").stdout)}
    assert found["silero-vad"]["installed"]
    assert not found["absent"]["installed"]
    shown = json.loads(invoke("show", "silero-vad", "--json").stdout)
    assert Path(shown["paths"]["model"]).is_file()
    assert json.loads(invoke("show", "absent", "--json").stdout)["paths"] == {"weights": None}


def test_show(invoke: Callable[..., Result], tmp_path: Path) -> None:
    absent(tmp_path)
    text = invoke("show", "moonshine-base-en").stdout
    assert "MIT" in text
    assert "9d1a19e044cbf89a207723d1adb667de89a5671a1e3e611b8ebe721b2c31219c" in text
    assert "weights.bin: not on this machine" in invoke("show", "absent").stdout


def test_verify(invoke: Callable[..., Result], tmp_path: Path) -> None:
    absent(tmp_path)
    result = invoke("verify")
    assert result.exit_code == 0
    assert "silero-vad model: ok" in result.stdout
    result = invoke("verify", "absent")
    assert isinstance(result.exception, ModelError)
    assert "weights of absent is missing" in result.exception.message


def test_pull(invoke: Callable[..., Result], tmp_path: Path) -> None:
    assert "silero-vad is ready." in invoke("pull", "silero-vad").stdout
    absent(tmp_path)
    error = invoke("pull", "absent").exception
    assert isinstance(error, ModelError)
    assert error.code == "model.missing"
