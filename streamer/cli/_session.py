"""Runs one graph for a command: signals, error lines, progress, the summary at the end."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import Coroutine, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from streamer.errors import OutputError, StreamerError
from streamer.graph import Engine, GraphPlan, Report, Source
from streamer.graph.recording import Recording
from streamer.graph.tape import TapedLoop
from streamer.trace import write_chrome_trace
from streamer.trace.summary import summarise

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

__all__ = ["run_plan", "summary_table", "variables"]

SIGNALS = (signal.SIGINT, signal.SIGTERM)


def variables(assignments: list[str]) -> dict[str, str]:
    """The values of ``--set NAME=VALUE`` options."""
    values = {}
    for text in assignments:
        name, equals, value = text.partition("=")
        if not equals or not name.isidentifier():
            raise typer.BadParameter(f"{text!r} is not NAME=VALUE", param_hint="--set")
        values[name] = value
    return values


def run_plan(
    plan: GraphPlan,
    *,
    trace: Path | None = None,
    summary: bool = False,
    progress: bool = False,
    tracer: Tracer | None = None,
    recording: Recording | None = None,
) -> None:
    """Run ``plan`` until it ends; Ctrl-C drains it, a second Ctrl-C aborts.

    Utterances go to ``tracer`` as spans and everything to ``recording``, if there is one.

    Errors that the graph survives are printed as they happen; the first fatal one is raised
    after everything else has drained. Messages go to standard error.
    """
    console = Console(stderr=True, highlight=False)

    def show(report: Report) -> None:
        console.print(f"[yellow]{escape(report.node)}:[/] {escape(str(report.error))}")
        if isinstance(report.error, StreamerError):
            report.error.shown = True

    engine = Engine(plan, on_report=show, tape=recording)
    loops = None if recording is None else partial(TapedLoop, recording.work)
    try:
        with asyncio.Runner(loop_factory=loops) as runner:
            runner.run(_traced(engine, tracer, _run(engine, console, progress)))
    finally:
        if recording is not None:
            recording.close()
        if trace is not None:
            _write_trace(engine, trace)
        if summary:
            console.print(summary_table(engine))


async def _traced(engine: Engine, tracer: Tracer | None, work: Coroutine[None, None, None]) -> None:
    if tracer is None:
        await work
        return
    from streamer.trace.otel import SessionSpans

    spans = SessionSpans(tracer, engine.recorder, engine.plan.name)
    engine.on_arrival = spans.arrived
    failure: BaseException | None = None
    try:
        await work
    except BaseException as error:
        failure = error
        raise
    finally:
        spans.end(failure)


async def _run(engine: Engine, console: Console, progress: bool) -> None:
    with _signals(engine, console):
        if not progress or not console.is_terminal:
            await engine.run()
            return
        watcher = asyncio.create_task(_show_progress(engine, console))
        try:
            await engine.run()
        finally:
            watcher.cancel()
            await asyncio.gather(watcher, return_exceptions=True)


@contextlib.contextmanager
def _signals(engine: Engine, console: Console) -> Iterator[None]:
    loop, task, asked = asyncio.get_running_loop(), asyncio.current_task(), 0

    def on_signal() -> None:
        nonlocal asked
        asked += 1
        if asked == 1:
            console.print("[dim]Finishing what was said; once more to abort.[/]")
            engine.stop()
        elif task is not None:
            task.cancel()

    try:
        for number in SIGNALS:
            loop.add_signal_handler(number, on_signal)
    except NotImplementedError:  # Windows: Ctrl-C cancels the run.
        pass
    try:
        yield
    finally:
        if sys.platform != "win32":
            for number in SIGNALS:
                loop.remove_signal_handler(number)


async def _show_progress(engine: Engine, console: Console) -> None:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[speed]:.1f}x real time"),
        TimeRemainingColumn(),
    )
    loop = asyncio.get_running_loop()
    begin = loop.time()
    with Progress(*columns, console=console, transient=True) as bar:
        tasks = {
            name: bar.add_task(name, total=None, speed=0.0)
            for name, node in engine.plan.nodes.items()
            if issubclass(node.cls, Source)
        }
        while True:
            await asyncio.sleep(0.25)
            for name, task in tasks.items():
                runner = engine.runners.get(name)
                if runner is not None and isinstance(runner.node, Source):
                    speed = runner.position / max(loop.time() - begin, 1e-9)
                    total = runner.node.duration
                    bar.update(task, total=total, completed=runner.position, speed=speed)


def _write_trace(engine: Engine, path: Path) -> None:
    try:
        write_chrome_trace(engine.recorder, path, engine.plan.name)
    except OSError as error:
        raise OutputError(
            f"The trace cannot be written to {path}: {error.strerror}.",
            code="output.unwritable",
            hint="Choose another path with --trace.",
        ) from error


def summary_table(engine: Engine) -> Table:
    """Where the time went, edge by edge and node by node, and what was dropped."""
    table = Table(title=f"{engine.plan.name}: where the time went (ms)", title_justify="left")
    for column in ("", "", "packets", "p50", "p90", "p99", "worst", "total s"):
        table.add_column(column, justify="left" if not column else "right")
    drops = {c.name: c.dropped + c.coalesced for c in engine.channels}
    for row in summarise(engine.recorder):
        name = row.name if row.kind in ("work", "wait") else ""
        lost = drops.get(row.name, 0) if row.kind == "wait" else 0
        table.add_row(
            escape(name),
            row.kind,
            f"{row.count}" + (f" (-{lost})" if lost else ""),
            *(f"{value:.1f}" for value in (row.p50, row.p90, row.p99, row.highest)),
            f"{row.total_s:.2f}",
        )
    return table
