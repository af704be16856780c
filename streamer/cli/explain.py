"""``streamer explain``: what an error code means."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from streamer.codes import EXPLANATIONS
from streamer.errors import InputError
from streamer.graph.problems import suggest

__all__ = ["explain"]


def explain(
    code: Annotated[str, typer.Argument(help="Such as graph.cycle; none lists all.")] = "",
) -> None:
    """Explain an error code, or list them all."""
    console = Console(highlight=False)
    if not code:
        table = Table("code", "meaning")
        for known in sorted(EXPLANATIONS):
            table.add_row(known, EXPLANATIONS[known])
        console.print(table)
        return
    code = code.strip("[]")
    if code not in EXPLANATIONS:
        raise InputError(
            f"There is no error code {code!r}.",
            code="cli.unknown-code",
            hint=suggest(code, EXPLANATIONS) or "`streamer explain` lists them.",
        )
    console.print(f"[bold]{code}[/]\n{EXPLANATIONS[code]}")
