"""``streamer top`` against a real HTTP server and the metrics of a real run."""

from __future__ import annotations

import http.server
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from streamer.batching import EngineStats
from streamer.cli.top import render, top
from streamer.errors import InputError
from streamer.graph import Engine, QueueSpec
from streamer.graph.virtual import run
from streamer.trace import AGE, WAIT, WORK
from streamer.trace.engines import EngineMetrics
from streamer.trace.prometheus import CONTENT_TYPE, Metrics
from streamer.trace.scrape import Snapshot
from tests.graph.nodes import Collect, Count, Pass, make_plan

EDGES = ("mic.out -> pass.inp", "pass.out -> end.inp")


class Live(Count):
    every = 0.02


def ran() -> tuple[Engine, Metrics]:
    plan = make_plan(
        {"mic": Live, "pass": Pass, "end": Collect},
        *EDGES,
        queue=QueueSpec(1.0, None, "drop_oldest"),
    )
    engine = Engine(plan)
    run(engine.run())
    metrics = Metrics(engine.recorder, lambda: [c.stats() for c in engine.channels])
    model = EngineStats("silero")
    model.record(1.0, 1.003, [0.99, 0.99, 0.9], 0.1)
    metrics.registry.register(EngineMetrics(lambda: [model]))
    metrics.gauge("streamer_sessions", "Sessions.").set(7)
    metrics.counter("streamer_refused", "Refused.", ["reason"]).labels("full").inc(3)
    metrics.histogram("streamer_final_seconds", "Finalisation.").observe(0.3)
    return engine, metrics


@contextmanager
def serving(body: Callable[[], bytes], key: str = "") -> Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if key and self.headers["Authorization"] != f"Bearer {key}":
                self.send_error(401)
                return
            self.send_response(200 if self.path == "/metrics" else 404)
            self.send_header("Content-Type", CONTENT_TYPE)
            self.end_headers()
            self.wfile.write(body())

        def log_message(self, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def invoke(*args: str) -> str:
    app = typer.Typer()
    app.command()(top)
    result = CliRunner().invoke(app, list(args), env={"COLUMNS": "160"})
    if result.exception is not None:
        raise result.exception
    return result.output


def cells(output: str, name: str) -> list[str]:
    line = next(line for line in output.splitlines() if line.startswith(name))
    return re.split(r"\s{2,}", line.strip())


def test_one_look_shows_edges_nodes_and_the_service() -> None:
    engine, metrics = ran()
    work = next(t for t in engine.recorder.tracks if t.name == "pass")
    for _ in range(10):  # in virtual time work takes none
        engine.recorder.add(WORK, work, 0, 30_000_000, 0.0)
    with serving(metrics.render, "secret") as url:
        output = invoke(url, "--once", "--key", "secret")
        with pytest.raises(InputError, match="Unauthorized"):
            invoke(url, "--once")
    assert cells(output, EDGES[0])[1:4] == ["0", "0.0 ms", "10"]
    packets, p50, p99 = cells(output, "pass ")[1:4]
    assert packets == "20"
    assert (float(p50[:-3]), float(p99[:-3])) == (0.1, pytest.approx(49.4, abs=0.1))
    model = cells(output, "silero")
    assert model[1:4] == ["0", "3", "3.0"]
    assert 50 <= float(model[5][:-3]) <= 200, "wait p99"
    assert model[-1] == "0.030", "3 ms of work on 0.1 s of audio"
    assert cells(output, "sessions") == ["sessions", "7"]
    assert cells(output, "refused_total reason=full") == ["refused_total reason=full", "3"]
    assert cells(output, "final_seconds")[1] == "1 times"


def test_the_second_look_shows_what_came_in_between() -> None:
    engine, metrics = ran()
    first = Snapshot.parse(metrics.render().decode(), 10.0)
    track = {t.name: t for t in engine.recorder.tracks}
    for _ in range(4):
        engine.recorder.add(WAIT, track[EDGES[1]], 0, 3_000_000, 0.0)
        engine.recorder.add(WORK, track["end"], 0, 250_000_000, 0.0)
        engine.recorder.add(AGE, track["end"], 0, 400_000_000, 0.0)
    engine.channels[1].dropped += 6
    second = Snapshot.parse(metrics.render().decode(), 12.0)
    console = Console(width=160, file=None, record=True)
    with console.capture() as capture:
        console.print(render(second, first))
    output = capture.get()
    edge = cells(output, EDGES[1])
    assert edge[3] == "0"
    assert 2.0 <= float(edge[4][:-3]) <= 5.0
    assert edge[-1] == "6"
    node = cells(output, "end ")
    assert (node[1], node[4]) == ("4", "50%")
    assert 200 <= float(node[5][:-3]) <= 500


def test_no_service_and_no_metrics_are_told_apart() -> None:
    with serving(lambda: b"<html>hello</html>") as url:
        with pytest.raises(InputError, match="top.not-metrics"):
            invoke(url, "--once")
        with pytest.raises(InputError, match="404"):
            invoke(f"{url}/elsewhere", "--once")
    with pytest.raises(InputError, match="top.unreachable"):
        invoke(url, "--once")
    with pytest.raises(InputError, match="not the address"):
        invoke("file:///etc/passwd", "--once")
