"""The command line as a user meets it: messages, exit codes, what is imported."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from streamer import __version__
from streamer.cli import COMMANDS, main
from streamer.codes import EXPLANATIONS

HEAD = "version: 1\nnodes:\n  src: {use: source.file, path: a.wav}\n"


def call(*args: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(list(args))
    return int(caught.value.code or 0)


@pytest.fixture
def wrong(tmp_path: Path) -> Path:
    path = tmp_path / "wrong.yaml"
    path.write_text(HEAD + "  x: {use: sink.txet, in: src}\n  y: {use: sink.srt, in: sc}\n")
    return path


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("--help") == 0
    text = capsys.readouterr().out
    assert all(name in text for name in COMMANDS)
    assert call("--version") == 0
    assert capsys.readouterr().out == f"streamer {__version__}\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_can_be_loaded(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert hasattr(importlib.import_module(f"streamer.cli.{name}"), name)
    assert call(name, "--help") == 0
    assert f"streamer {name}" in capsys.readouterr().out


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom streamer.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "print([m for m in ('numpy', 'onnxruntime', 'av', 'pydantic', 'ruamel.yaml', 'torch')"
        " if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_an_unknown_command_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("grpah") == 2
    assert "grpah" in capsys.readouterr().err


def test_check_shows_every_problem(wrong: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("graph", "check", str(wrong)) == 2
    shown = capsys.readouterr().err
    assert f"{wrong}:4:12: There is no node kind 'sink.txet'. [graph.unknown-kind]" in shown
    assert "Did you mean 'sink.text'?" in shown and "2 problems." in shown
    assert f"{wrong}:5:26: There is no node 'sc'. [graph.unknown-node]" in shown


def test_check_as_json(wrong: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = tmp_path / "none.yaml"
    assert call("graph", "check", "--json", str(wrong), str(missing)) == 2
    found = json.loads(capsys.readouterr().out)
    assert [(p["code"], p["line"], p["column"]) for p in found] == [
        ("graph.unknown-kind", 4, 12),
        ("graph.unknown-node", 5, 26),
        ("graph.unreadable", 0, 0),
    ]


def test_check_shows_what_was_added(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mic.yaml"
    path.write_text("version: 1\nnodes:\n  m: {use: source.mic}\n  v: {use: vad.silero, in: m}\n")
    assert call("graph", "check", str(path)) == 0
    shown = capsys.readouterr().out
    assert "2 edges" in shown and "added m/convert (convert.audio: rate 16000" in shown
    assert "m.audio -> m/convert.audio: 2 s, drop_oldest" in shown


def test_strict(tmp_path: Path) -> None:
    path = tmp_path / "g.yaml"
    path.write_text(HEAD + "  v: {use: vad.silero, in: src, queue: {max: unbounded}}\n")
    assert call("graph", "check", str(path)) == 0
    assert call("graph", "check", "--strict", str(path)) == 2


def test_draw_schema_nodes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "g.yaml"
    path.write_text(HEAD.replace("a.wav", "'${A}'") + "  v: {use: vad.silero, in: src}\n")
    assert call("graph", "draw", str(path), "--set", "A=x", "--mermaid") == 0
    assert capsys.readouterr().out.startswith("flowchart LR\n")
    assert call("graph", "schema") == 0
    assert json.loads(capsys.readouterr().out)["title"] == "streamer graph"
    assert call("graph", "nodes", "--markdown", "vad") == 0
    row = capsys.readouterr().out.splitlines()[-1]
    assert (
        row.startswith("| `vad.silero` | ") and "| audio: AudioFrame | speech: SpeechSpan |" in row
    )
    assert call("graph", "nodes") == 0
    assert "source.file" in capsys.readouterr().out


def test_errors_say_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("explain", "graph.cycel") == 3
    shown = capsys.readouterr().err
    assert "[cli.unknown-code]" in shown and "Did you mean 'graph.cycle'?" in shown
    assert "Traceback" not in shown
    with pytest.raises(Exception, match="no error code"):
        main(["explain", "graph.cycel", "--debug"])


def test_explain(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("explain", "graph.cycle") == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert EXPLANATIONS["graph.cycle"] in shown
    assert call("explain") == 0


def test_an_unforeseen_error_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise RuntimeError("a\nb")

    monkeypatch.setattr("streamer.cli.devices.devices", fail)
    assert call("devices") == 70
    assert capsys.readouterr().err.splitlines()[0] == "Unforeseen error: RuntimeError: a b"
    with pytest.raises(RuntimeError):
        main(["--debug", "devices"])


def test_init(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert call("init") == 0
    assert "live-captions" in capsys.readouterr().out
    assert call("init", "file-to-text") == 0
    assert call("graph", "check", "file-to-text.yaml") == 0
    assert call("init", "file-to-text") == 7
    assert "--force" in capsys.readouterr().err
    assert call("init", "file-to-text", "--force") == 0
    assert call("init", "file-to-txt") == 3
    assert "Did you mean 'file-to-text'" in capsys.readouterr().err
