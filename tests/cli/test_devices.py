import json

import pytest
import typer
from typer.testing import CliRunner

from streamer.cli.devices import devices
from tests.audio.fake_portaudio import FakePortAudio


@pytest.fixture
def invoke(monkeypatch):
    monkeypatch.setattr("streamer.audio.devices.load_backend", FakePortAudio)
    app = typer.Typer()
    app.command()(devices)
    return lambda *args: CliRunner().invoke(app, args, env={"COLUMNS": "120"})


def test_table(invoke):
    result = invoke()
    assert result.exit_code == 0
    assert "Blue Yeti" in result.stdout
    assert "48000" in result.stdout


def test_json(invoke):
    found = json.loads(invoke("--json").stdout)
    assert [device["inputs"] for device in found] == [0, 2, 1]
    assert found[1]["default_input"]
