"""``streamer replay DIR``: runs a recording again and says whether it does the same."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Any

import typer

from streamer.cli._session import variables
from streamer.errors import NodeError
from streamer.graph.build import load_graph
from streamer.graph.replay import Difference, Replay, read_about
from streamer.nodes import registry

__all__ = ["replay"]

UNKNOWN = "not-recorded"
"""In place of an environment variable that is not set here; mostly a key of a service."""


def replay(
    folder: Annotated[Path, typer.Argument(help="What `run --record` wrote.", metavar="DIR")],
    assign: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="For a variable that was not recorded."),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Fail if an output is not what was recorded.")
    ] = False,
) -> None:
    """Run a recording again on a virtual clock, with what came in then; nothing is played or sent.

    Exit code 6 with --check if an output differs.
    """
    about = read_about(folder)
    given = {name: os.environ.get(name, UNKNOWN) for name in about["environment"]}
    plan = load_graph(
        folder / "graph.yaml", registry(), variables={**given, **variables(assign or [])}
    )
    if about["environment"]:
        typer.echo(f"Not in the recording: {', '.join(about['environment'])}.", err=True)
    if not about["ended"]:
        typer.echo("The recording was cut off; compared is what it holds.", err=True)
    again = Replay(folder, plan)
    engine = again.run()
    for report in engine.reports:
        typer.echo(f"{report.node}: {report.error}", err=True)
    for (node, port), count in sorted(again.counts.items()):
        typer.echo(f"{node}.{port}: {count} packets as recorded")
    for found in again.differences:
        typer.echo(_told(found, engine.plan.edges))
    if check and again.differences:
        first = again.differences[0]
        raise NodeError(
            f"The replay differs first at {first.node}.{first.port}, {first.seconds:.3f} s.",
            code="recording.differs",
            hint="Compare the versions in recording.json with those here.",
        )


def _told(found: Difference, edges: Any) -> str:
    targets = [e.target for e in edges if (e.source, e.out.name) == (found.node, found.port)]
    return (
        f"{found.node}.{found.port} -> {', '.join(targets)} at {found.seconds:.3f} s:\n"
        f"  recorded {_short(found.recorded)}\n  replayed {_short(found.replayed)}"
    )


def _short(value: Any) -> str:
    text = "nothing" if value is None else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 300 else f"{text[:297]}..."
