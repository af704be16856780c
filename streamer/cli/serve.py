"""``streamer serve GRAPH``: the graph as a service, a session of it for each connection."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import tempfile
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from streamer.cli._otel import Otel, tracer_for
from streamer.cli._session import variables
from streamer.cli._worker import Worker
from streamer.graph import GraphPlan
from streamer.graph.build import load_graph
from streamer.nodes import registry
from streamer.serve.auth import Keys
from streamer.serve.fleet import Fleet
from streamer.serve.limits import Limits
from streamer.serve.service import Settings
from streamer.serve.service import serve as run_service

__all__ = ["serve"]


def serve(
    graph: Annotated[
        Path, typer.Argument(help="A graph with session ends.", metavar="GRAPH.yaml")
    ] = Path("graphs/serve-captions.yaml"),
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 takes a free one.")] = 8765,
    wyoming_port: Annotated[
        int | None, typer.Option(help="Port for Wyoming (Home Assistant).")
    ] = None,
    sessions: Annotated[int, typer.Option(help="Sessions at once.")] = 64,
    queue: Annotated[int, typer.Option(help="Connections that may wait for a session.")] = 16,
    processes: Annotated[
        int, typer.Option(min=1, help="Processes that share the sessions; each loads the models.")
    ] = 1,
    idle: Annotated[float, typer.Option(help="Seconds of silence before a client is closed.")] = 30,
    keys: Annotated[
        Path | None, typer.Option(help="File of API keys; without it everybody may come in.")
    ] = None,
    new_key: Annotated[
        str | None, typer.Option(metavar="NAME", help="Print a new key and its line, and end.")
    ] = None,
    origin: Annotated[
        list[str] | None, typer.Option(help="Origin that browsers may come from; repeatable.")
    ] = None,
    certificate: Annotated[Path | None, typer.Option(help="PEM file, for wss.")] = None,
    private_key: Annotated[Path | None, typer.Option(help="PEM file of its key.")] = None,
    assign: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Fill ${NAME} in the graph."),
    ] = None,
    otel: Otel = "",
) -> None:
    """Serve a graph over websockets. SIGTERM or Ctrl-C finishes every session, then ends."""
    if new_key is not None:
        key, line = Keys.new(new_key)
        typer.echo(f"key:  {key}\nline: {line}")
        return
    values = variables(assign or [])
    plan = load_graph(graph, registry(), settings=values)
    settings = Settings(
        host=host,
        port=port,
        wyoming_port=wyoming_port,
        limits=Limits(sessions=sessions, queue=queue, idle=idle),
        keys=Keys(keys),
        origins=frozenset(origin) if origin else None,
        certificate=certificate,
        private_key=private_key,
    )
    if processes > 1:
        with tempfile.TemporaryDirectory(prefix="streamer-") as folder:
            work = Worker(graph, values, settings, otel, processes, Path(folder))
            fleet = Fleet(processes, work).serve(host, port, settings.grace)
            asyncio.run(_until_told(plan.name, settings, fleet))
        return
    with tracer_for(otel) as tracer:
        settings = replace(settings, tracer=tracer)
        asyncio.run(_until_told(plan.name, settings, _alone(plan, settings)))


@contextlib.asynccontextmanager
async def _alone(plan: GraphPlan, settings: Settings) -> AsyncIterator[int]:
    async with run_service(plan, settings) as (_, port):
        yield port


async def _until_told(
    name: str, settings: Settings, service: AbstractAsyncContextManager[int]
) -> None:
    """Until SIGTERM or Ctrl-C; ``service`` gives its port."""
    console = Console(stderr=True, highlight=False)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    with contextlib.suppress(NotImplementedError):  # Windows
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
    async with service as port:
        scheme = "wss" if settings.certificate else "ws"
        console.print(f"Serving {name} at {scheme}://{settings.host}:{port}/v1/stream")
        console.print(f"Captions page: http{scheme[2:]}://{settings.host}:{port}/")
        await stop.wait()
        console.print("Finishing the open sessions.")
