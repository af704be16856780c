"""``streamer run GRAPH``: runs a graph until it ends or is stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from streamer.cli._otel import Otel, tracer_for
from streamer.cli._record import recording_of
from streamer.cli._session import run_plan, variables
from streamer.graph.build import load_graph
from streamer.graph.units import parse_bytes
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
    record: Annotated[
        Path | None,
        typer.Option(help="Keep what came in and what happened, to replay it.", metavar="DIR"),
    ] = None,
    record_edges: Annotated[
        list[str] | None,
        typer.Option(metavar="A.B->C", help="Edges to keep; default: all without samples."),
    ] = None,
    record_limit: Annotated[
        str, typer.Option(help="The recording ends at this size.", metavar="SIZE")
    ] = "2GiB",
    otel: Otel = "",
) -> None:
    """Run a graph. Ctrl-C stops its sources and finishes what was said; twice aborts."""
    settings = variables(assign or [])
    plan = load_graph(graph, registry(), settings=settings)
    with tracer_for(otel) as tracer:
        recording = None
        if record is not None:
            recording = recording_of(
                record, graph, plan, settings, record_edges or [], _size(record_limit)
            )
        run_plan(plan, trace=trace, summary=summary, tracer=tracer, recording=recording)


def _size(text: str) -> int:
    try:
        return parse_bytes(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--record-limit") from None
