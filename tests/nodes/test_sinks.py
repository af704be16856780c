"""Sinks on the real engine."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from streamer.errors import OutputError
from streamer.graph import Node, Out, Source
from streamer.graph.virtual import run
from streamer.nodes.sink_files import SinkJsonl, SinkSrt, SinkText, SinkWebvtt
from streamer.nodes.sink_terminal import SinkTerminal
from streamer.packets import Stamp, Transcript

from .graphs import Edge, Engine, GraphPlan, NodePlan, QueueSpec

SAID = [
    Transcript("hello", 0, 1, 0, 0, 0),
    Transcript("hello world", 0, 2, 0, 1, 5),
    Transcript("Hello world.", 0, 2, 0, 2, 12, final=True),
    Transcript("Bye.", 3, 4, 1, 0, 4, final=True),
]


class Speak(Source):
    """Says what is in ``local``."""

    out: Out[Transcript]

    async def run(self) -> None:
        import asyncio

        for number, transcript in enumerate(self.ctx.local["said"]):
            await asyncio.sleep(0.2)
            captured = self.ctx.now_ns() - 300_000_000
            await self.out.send(transcript, Stamp(position=number, captured_ns=captured))


def play(sink: type[Node], settings: dict[str, Any] | None = None) -> None:
    nodes = {
        "speak": NodePlan("speak", Speak, Speak.Config()),
        "sink": NodePlan("sink", sink, sink.Config(**(settings or {}))),
    }
    edge = Edge(
        "speak", Speak.ports()[1]["out"], "sink", sink.ports()[0]["transcript"], QueueSpec()
    )
    run(Engine(GraphPlan("test", nodes, [edge]), local={"said": SAID}).run())


@pytest.mark.parametrize(
    ("sink", "expected"),
    [
        (SinkText, "Hello world.\nBye.\n"),
        (
            SinkSrt,
            "1\n00:00:00,000 --> 00:00:02,000\nHello world.\n\n"
            "2\n00:00:03,000 --> 00:00:04,000\nBye.\n\n",
        ),
        (
            SinkWebvtt,
            "WEBVTT\n\n00:00:00.000 --> 00:00:02.000\nHello world.\n\n"
            "00:00:03.000 --> 00:00:04.000\nBye.\n\n",
        ),
    ],
)
def test_files_hold_the_finals(tmp_path: Path, sink: type[Node], expected: str) -> None:
    play(sink, {"path": str(tmp_path / "out")})
    assert (tmp_path / "out").read_text() == expected


def test_json_lines_hold_partials_too_with_their_age(tmp_path: Path) -> None:
    play(SinkJsonl, {"path": str(tmp_path / "a")})
    records = [json.loads(line) for line in (tmp_path / "a").read_text().splitlines()]
    assert [r["type"] for r in records] == ["partial", "partial", "final", "final"]
    assert [r["stable_len"] for r in records] == [0, 5, 12, 4]
    assert all(r["age_ms"] == pytest.approx(300, abs=1) for r in records)
    play(SinkJsonl, {"path": str(tmp_path / "b"), "partials": False})
    assert len((tmp_path / "b").read_text().splitlines()) == 2


def test_a_path_that_cannot_be_written_ends_the_run_at_once(tmp_path: Path) -> None:
    with pytest.raises(OutputError) as caught:
        play(SinkText, {"path": str(tmp_path)})
    assert caught.value.code == "output.unwritable"


def screen(monkeypatch: pytest.MonkeyPatch, *, terminal: bool, width: int = 40) -> str:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=terminal, width=width, color_system="standard")
    monkeypatch.setattr(SinkTerminal, "console", console)
    play(SinkTerminal)
    return stream.getvalue()


def test_the_terminal_shows_stable_words_solid_and_others_dim(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown = screen(monkeypatch, terminal=True)
    assert "\x1b[2mhello\x1b[0m" in shown, "nothing of the first partial is stable"
    assert "\x1b[1mhello\x1b[0m\x1b[2m world\x1b[0m" in shown
    assert "Hello world." in shown and "Bye." in shown
    assert "0.3 s" in shown


def test_without_a_terminal_only_finals_are_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert screen(monkeypatch, terminal=False) == "Hello world.\nBye.\n"


@pytest.mark.parametrize("width", [12, 20])
def test_long_text_in_a_narrow_window_shows_its_end(
    monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    text = "one two three four five six seven eight nine ten eleven twelve"
    monkeypatch.setattr(f"{__name__}.SAID", [Transcript(text, 0, 9, 0, 0, 50)])
    shown = screen(monkeypatch, terminal=True, width=width)
    assert "twelve" in shown and "one" not in shown and "…" in shown


SPEAKER = """
import sys
from tests.nodes import test_sinks
from streamer.errors import OutputError
from streamer.nodes.sink_terminal import SinkTerminal
try:
    test_sinks.play(SinkTerminal)
except OutputError as error:
    sys.stderr.write(error.code)
"""


@pytest.mark.parametrize("where", ["closed pipe", "full disk"])
def test_standard_output_that_fails_is_an_error_of_the_sink_alone(where: str) -> None:
    if where == "closed pipe":
        reader, target = os.pipe()
        os.close(reader)
    else:
        target = os.open("/dev/full", os.O_WRONLY)
    try:
        done = subprocess.run(
            [sys.executable, "-c", SPEAKER], stdout=target, stderr=subprocess.PIPE, text=True
        )
    finally:
        os.close(target)
    expected = "output.closed" if where == "closed pipe" else "output.disk-full"
    assert done.stderr.endswith(expected), "the OutputError reached the caller of the engine"


def test_a_restarted_sink_keeps_what_it_wrote(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from streamer.captions.output import RecordFile
    from streamer.graph import RestartSpec

    said = [Transcript(f"number {n}", n, n + 0.9, n, 0, 8, final=True) for n in range(6)]
    append, calls = RecordFile.append, []

    def failing(self: RecordFile, record: str) -> None:
        calls.append(record)
        if len(calls) == 4:
            raise OutputError("No room.", code="output.disk-full")
        append(self, record)

    monkeypatch.setattr(RecordFile, "append", failing)
    out = tmp_path / "out.srt"
    sink = SinkSrt
    nodes = {
        "speak": NodePlan("speak", Speak, Speak.Config()),
        "sink": NodePlan("sink", sink, sink.Config(path=str(out)), RestartSpec("on_failure")),
    }
    edge = Edge(
        "speak", Speak.ports()[1]["out"], "sink", sink.ports()[0]["transcript"], QueueSpec()
    )
    run(Engine(GraphPlan("test", nodes, [edge]), local={"said": said}).run())
    kept = [line for line in out.read_text().splitlines() if line.startswith("number")]
    assert kept == ["number 0", "number 1", "number 2", "number 4", "number 5"]
