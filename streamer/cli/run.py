"""``streamer run GRAPH``: runs a graph until it ends or is stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from streamer.cli._otel import Otel, tracer_for
from streamer.cli._session import run_plan, variables
from streamer.graph.build import load_graph
from streamer.nodes import registry

__all__ = ["run"]


def run(
    graph: Annotated[Path, typer.Argument(help="The graph's YAML file.", metavar="GRAPH.yaml")],
    assign: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Fill ${NAME} in the graph."),
    ] = None,
    trace: Annotated[
        Path | None,
        typer.Option(help="Write a trace for ui.perfetto.dev.", metavar="FILE"),
    ] = None,
    summary: Annotated[bool, typer.Option(help="Print where the time went, at the end.")] = True,
    otel: Otel = "",
) -> None:
    """Run a graph. Ctrl-C stops its sources and finishes what was said; twice aborts."""
    plan = load_graph(graph, registry(), settings=variables(assign or []))
    with tracer_for(otel) as tracer:
        run_plan(plan, trace=trace, summary=summary, tracer=tracer)
