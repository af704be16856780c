"""``streamer top``: where packets wait and work is done in a running service, live."""

from __future__ import annotations

import time
import urllib.error
import urllib.parse
import urllib.request
from typing import Annotated

import typer
from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from streamer.errors import InputError, StreamerError
from streamer.graph.units import parse_seconds

try:
    from streamer.trace.scrape import Distribution, Snapshot
except ImportError as error:
    raise StreamerError(
        "`streamer top` needs the package prometheus-client, which is not installed.",
        code="top.not-installed",
        hint="pip install 'streamer[metrics]'",
    ) from error

__all__ = ["top"]

_LOST = ("dropped", "coalesced", "stale", "discarded")


def top(
    url: Annotated[str, typer.Argument(help="The service, such as http://127.0.0.1:8765.")],
    every: Annotated[str, typer.Option(help="Time between two looks.")] = "1s",
    once: Annotated[
        bool, typer.Option("--once", help="One look: the numbers since the service started.")
    ] = False,
    key: Annotated[
        str, typer.Option(envvar="STREAMER_KEY", help="API key, if the service wants one.")
    ] = "",
) -> None:
    """Show a running `streamer serve`: edges, nodes, models and sessions. Ends with Ctrl-C.

    Times are of the packets between two looks.
    """
    address = _metrics_address(url)
    period = parse_seconds(every)
    console = Console()
    latest = _fetch(address, key)
    if once:
        console.print(render(latest, None))
        return
    with Live(render(latest, None), console=console, auto_refresh=False) as live:
        while True:
            try:
                time.sleep(period)
            except KeyboardInterrupt:
                return
            earlier = latest
            try:
                latest = _fetch(address, key)
            except InputError as error:
                live.update(
                    Group(render(earlier, None), f"[red]{escape(str(error))}[/]"), refresh=True
                )
                continue
            live.update(render(latest, earlier), refresh=True)


def render(now: Snapshot, earlier: Snapshot | None) -> Group:
    """The tables of what happened after ``earlier``, or since the service started."""
    tables = [make(now, earlier) for make in (_service, _edges, _nodes, _engines)]
    return Group(*tables)


def _edges(now: Snapshot, earlier: Snapshot | None) -> Table:
    table = _table("edge", "waiting", "oldest", "packets", "wait p50", "p99", "blocked p99", "lost")
    for name in now.names("streamer_edge_accepted_total"):
        wait = _distribution(now, earlier, "streamer_edge_wait_seconds", name)
        blocked = _distribution(now, earlier, "streamer_edge_blocked_seconds", name)
        lost = sum(_change(now, earlier, f"streamer_edge_{way}_total", name) for way in _LOST)
        accepted = _change(now, earlier, "streamer_edge_accepted_total", name)
        table.add_row(
            escape(name),
            f"{now.values.get(('streamer_edge_depth', name), 0):.0f}",
            _ms(now.values.get(("streamer_edge_oldest_seconds", name), 0.0)),
            f"{accepted:.0f}",
            _ms(wait.quantile(0.5)),
            _ms(wait.quantile(0.99)),
            _ms(blocked.quantile(0.99)),
            f"[red]{lost:.0f}[/]" if lost else "0",
        )
    return table


def _nodes(now: Snapshot, earlier: Snapshot | None) -> Table:
    table = _table("node", "packets", "work p50", "p99", "busy", "age p50", "p99")
    seconds = now.time - earlier.time if earlier else 0.0
    for name in now.names("streamer_node_work_seconds"):
        work = _distribution(now, earlier, "streamer_node_work_seconds", name)
        age = _distribution(now, earlier, "streamer_sink_age_seconds", name)
        table.add_row(
            escape(name),
            f"{work.count:.0f}",
            _ms(work.quantile(0.5)),
            _ms(work.quantile(0.99)),
            f"{work.total / seconds:.0%}" if seconds else "",
            _ms(age.quantile(0.5)),
            _ms(age.quantile(0.99)),
        )
    return table


def _engines(now: Snapshot, earlier: Snapshot | None) -> Table:
    table = _table(
        "engine", "waiting", "items", "a batch", "wait p50", "p99", "run p50", "p99", "busy", "RTF"
    )
    seconds = now.time - earlier.time if earlier else 0.0
    for name in now.names("streamer_engine_run_seconds"):
        wait = _distribution(now, earlier, "streamer_engine_wait_seconds", name)
        run = _distribution(now, earlier, "streamer_engine_run_seconds", name)
        audio = _change(now, earlier, "streamer_engine_audio_seconds_total", name)
        table.add_row(
            escape(name),
            f"{now.values.get(('streamer_engine_waiting', name), 0):.0f}",
            f"{wait.count:.0f}",
            f"{wait.count / run.count:.1f}" if run.count else "",
            _ms(wait.quantile(0.5)),
            _ms(wait.quantile(0.99)),
            _ms(run.quantile(0.5)),
            _ms(run.quantile(0.99)),
            f"{run.total / seconds:.0%}" if seconds else "",
            f"{run.total / audio:.3f}" if audio else "",
        )
    return table


def _service(now: Snapshot, earlier: Snapshot | None) -> Table:
    table = _table("service", "now", "p50", "p99")
    for name, value in now.service.items():
        table.add_row(escape(name.removeprefix("streamer_")), f"{value:g}", "", "")
    for name, whole in now.service_distributions.items():
        part = whole.since(earlier.service_distributions.get(name) if earlier else None)
        table.add_row(
            escape(name.removeprefix("streamer_")),
            f"{part.count:.0f} times",
            *(f"{part.quantile(q):.3g}" if part.count else "" for q in (0.5, 0.99)),
        )
    return table


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left", no_wrap=bool(number))
    return table


def _distribution(now: Snapshot, earlier: Snapshot | None, metric: str, name: str) -> Distribution:
    whole = now.distributions.get((metric, name), Distribution())
    return whole.since(earlier.distributions.get((metric, name)) if earlier else None)


def _change(now: Snapshot, earlier: Snapshot | None, metric: str, name: str) -> float:
    value = now.values.get((metric, name), 0.0)
    before = earlier.values.get((metric, name), 0.0) if earlier else 0.0
    return value - before if value >= before else value


def _ms(seconds: float) -> str:
    return "" if seconds != seconds else f"{seconds * 1000:.1f} ms"


def _metrics_address(url: str) -> str:
    parts = urllib.parse.urlsplit(url if "://" in url else f"http://{url}")
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise InputError(
            f"{url!r} is not the address of a service.",
            code="top.unreachable",
            hint="Write it like http://127.0.0.1:8765.",
        )
    path = parts.path.rstrip("/")
    return urllib.parse.urlunsplit(
        parts._replace(path=path if path.endswith("/metrics") else f"{path}/metrics")
    )


def _fetch(address: str, key: str) -> Snapshot:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    request = urllib.request.Request(address, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            text = answer.read().decode()
    except urllib.error.HTTPError as error:
        error.close()
        raise _unreachable(address, str(error)) from error
    except (OSError, ValueError) as error:
        raise _unreachable(address, str(getattr(error, "reason", error))) from error
    return Snapshot.parse(text, time.monotonic())


def _unreachable(address: str, why: str) -> InputError:
    return InputError(
        f"No metrics at {address}: {why}.",
        code="top.unreachable",
        hint="Is `streamer serve` running there? A service with keys needs --key.",
    )
