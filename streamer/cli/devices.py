"""``streamer devices``: what microphones and speakers there are."""

from __future__ import annotations

import dataclasses
import json
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from streamer.audio.devices import list_devices

__all__ = ["devices"]


def devices(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON list instead.")] = False,
) -> None:
    """List microphones and speakers; use a number or part of a name for `source.mic`."""
    found = list_devices()
    if as_json:
        typer.echo(json.dumps([dataclasses.asdict(device) for device in found], indent=2))
        return
    console = Console()
    if not found:
        console.print("PortAudio is installed, but there is no audio device on this machine.")
        return
    table = Table("no.", "name", "host", "in", "out", "rate (Hz)", "default")
    for device in found:
        default = [
            word
            for word, is_default in (
                ("in", device.default_input),
                ("out", device.default_output),
            )
            if is_default
        ]
        table.add_row(
            str(device.index),
            device.name,
            device.host,
            str(device.inputs),
            str(device.outputs),
            str(device.rate),
            ", ".join(default),
        )
    console.print(table)
