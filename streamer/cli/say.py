"""``streamer say TEXT``: speech without writing a graph."""

from __future__ import annotations

import enum
import json
from pathlib import Path
from typing import Annotated, Any

import typer

from streamer.cli._session import run_plan
from streamer.graph.build import load_text
from streamer.nodes import registry

__all__ = ["say"]


class EngineName(enum.StrEnum):
    """Who speaks; an endpoint needs more settings than a command line should have."""

    hibari = "hibari"
    piper = "piper"


def say(
    text: Annotated[str, typer.Argument(help="What to say, or - to read it from a pipe.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write a WAV file, do not play.")
    ] = None,
    engine: Annotated[EngineName, typer.Option(help="Who speaks.")] = EngineName.hibari,
    voice: Annotated[str, typer.Option(help="A voice's name, or a Piper voice's file.")] = "",
    speed: Annotated[float, typer.Option(help="1 is the voice's own pace; 0.5 to 2.")] = 1.0,
    device: Annotated[str, typer.Option(help="A loudspeaker's number or part of its name.")] = "",
) -> None:
    """Say a text through the loudspeaker or into a file."""
    sink: dict[str, Any]
    if output is not None:
        sink = {"use": "sink.wav", "path": _plain(str(output)), "pace": "fast"}
    else:
        sink = {"use": "sink.speaker"}
        if device:
            sink["device"] = int(device) if device.isdigit() else _plain(device)
    graph = {
        "version": 1,
        "name": "say",
        "nodes": {
            "text": {"use": "source.text", "text": _plain(text)},
            "tts": {
                "use": "tts.speak",
                "in": "text",
                "engine": engine.value,
                "voice": _plain(voice),
                "speed": speed,
            },
            "sink": sink | {"in": "tts"},
        },
    }
    run_plan(load_text(json.dumps(graph, indent=1), "say", registry(), variables={}))


def _plain(text: str) -> str:
    """A dollar sign in what a person typed is no variable."""
    return text.replace("${", "$${")
