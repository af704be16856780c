"""``streamer captions [SOURCE]``: captions without writing a graph."""

from __future__ import annotations

import enum
import json
from pathlib import Path
from typing import Annotated, Any

import typer

from streamer.cli._session import run_plan
from streamer.graph.build import load_text
from streamer.nodes import registry

__all__ = ["captions", "graph_for"]


class Form(enum.StrEnum):
    """How captions are written."""

    terminal = "terminal"
    text = "text"
    jsonl = "jsonl"
    vtt = "vtt"
    srt = "srt"


_SINKS = {
    Form.terminal: "sink.terminal",
    Form.text: "sink.text",
    Form.jsonl: "sink.jsonl",
    Form.vtt: "sink.webvtt",
    Form.srt: "sink.srt",
}
FAST_PARTIALS = 1.0
"""Seconds of media between partials where pace means nothing."""


def captions(
    source: Annotated[
        str,
        typer.Argument(help="A sound or video file, - for raw PCM, or mic, mic:NAME, mic:NUMBER."),
    ] = "mic",
    fast: Annotated[
        bool, typer.Option("--fast", help="Read a file as fast as the machine can.")
    ] = False,
    form: Annotated[
        Form, typer.Option("--format", help="What to write.", show_default="terminal")
    ] = Form.terminal,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write here, not to standard output.")
    ] = None,
    partials: Annotated[bool, typer.Option(help="Show words before they are final.")] = True,
    model: Annotated[str, typer.Option(help="The recogniser of finals.")] = "moonshine-base-en",
    rate: Annotated[int, typer.Option(help="Sample rate of raw PCM on standard input.")] = 16000,
    pcm: Annotated[str, typer.Option(help="Sample format of raw PCM.")] = "s16le",
    trace: Annotated[
        Path | None,
        typer.Option(help="Write a trace for ui.perfetto.dev.", metavar="FILE"),
    ] = None,
    summary: Annotated[bool, typer.Option(help="Print where the time went, at the end.")] = False,
) -> None:
    """Caption a file, standard input or a microphone."""
    if output is not None and form is Form.terminal:
        form = {".vtt": Form.vtt, ".srt": Form.srt, ".jsonl": Form.jsonl}.get(
            output.suffix.lower(), Form.text
        )
    graph = graph_for(
        source, fast=fast, form=form, output=output, partials=partials, model=model,
        rate=rate, pcm=pcm,
    )  # fmt: skip
    plan = load_text(json.dumps(graph, indent=1), "captions", registry(), variables={})
    run_plan(plan, trace=trace, summary=summary, progress=fast and form is not Form.terminal)


def graph_for(
    source: str,
    *,
    fast: bool,
    form: Form,
    output: Path | None,
    partials: bool,
    model: str,
    rate: int,
    pcm: str,
) -> dict[str, Any]:
    """The graph that the command runs, as YAML's data."""
    recogniser: dict[str, Any] = {
        "use": "asr.two_pass",
        "in": {"audio": "source", "speech": "vad"},
        "second": model,
        "partials": partials and form in (Form.terminal, Form.jsonl),
    }
    if fast:
        recogniser["partial_interval"] = FAST_PARTIALS
    sink: dict[str, Any] = {"use": _SINKS[form], "in": "asr"}
    if form is not Form.terminal:
        sink["path"] = "-" if output is None else str(output)
    return {
        "version": 1,
        "name": "captions",
        "nodes": {
            "source": _source(source, fast, rate, pcm),
            "vad": {"use": "vad.silero", "in": "source"},
            "asr": recogniser,
            "captions": sink,
        },
    }


def _source(source: str, fast: bool, rate: int, pcm: str) -> dict[str, Any]:
    if source == "-":
        return {"use": "source.stdin", "rate": rate, "format": pcm}
    kind, _, device = source.partition(":")
    if kind == "mic" and not Path(source).exists():
        number = int(device) if device.isdigit() else device
        return {"use": "source.mic"} | ({"device": number} if device else {})
    # A dollar sign in a file name is no variable.
    path = source.replace("${", "$${")
    return {"use": "source.file", "path": path, "pace": "fast" if fast else "realtime"}
