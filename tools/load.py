#!/usr/bin/env python
"""Load on a recognition service: open-loop real-time clients, and what they saw.

    load.py CORPUS/librispeech-other-dev --serve graphs/serve-transducer.yaml --clients 64
    load.py CORPUS/... --serve graphs/serve-transducer.yaml --curve 1,16,64,128 --plot curve.svg
    load.py CORPUS/... --sherpa MODEL_FOLDER --clients 32      # sherpa-onnx's own server
    load.py --echo --clients 400                               # the gateway alone

Without a corpus (argument, or STREAMER_CORPUS) the shipped sample is spoken.

Each client speaks utterances of the corpus one after the other, a pause between them, at exactly
the pace of speech whether or not the service keeps up. A service given with --serve or --sherpa is
started for the run on this machine and shares its cores with the clients.

Latencies, on the client's clock, from when the sample in question was sent:
first partial   from the beginning of the voice to the first words of the utterance
word            from the end of a word (by the final's times) to its first appearance
final           from the end of the voice to the last final of the utterance
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from tools.load_clients import (  # noqa: E402
    Client,
    measure,
    percentiles,
    scripts,
    speak,
    word_errors,
)
from tools.load_echo import echo_server, talk  # noqa: E402

CAP_CLIENTS, CAP_SECONDS = 2000, 900


def cpu_seconds(pid: int) -> float:
    """Of a process and those it has started, so far (Linux; else NaN)."""
    try:
        parts = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return float("nan")
    own = (int(parts[11]) + int(parts[12])) / os.sysconf("SC_CLK_TCK")
    return own + sum(cpu_seconds(int(child)) for child in children)


@asynccontextmanager
async def service(command: list[str], ready: str, port: int) -> AsyncIterator[tuple[str, int]]:
    """A server process; its address and pid once it listens."""
    process = await asyncio.to_thread(
        subprocess.Popen, command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    try:
        found, tail = None, b""
        assert process.stderr is not None
        os.set_blocking(process.stderr.fileno(), False)
        for _ in range(600):
            tail += process.stderr.read() or b""
            found = re.search(ready, tail.decode(errors="replace"))
            if found:
                break
            if process.poll() is not None:
                raise SystemExit(f"the service ended: {tail.decode(errors='replace')[-2000:]}")
            await asyncio.sleep(0.1)
        else:
            raise SystemExit("the service did not start in a minute")
        draining = asyncio.create_task(_drain(process.stderr))
        yield (found[1] if found.groups() else f"ws://127.0.0.1:{port}/"), process.pid
        draining.cancel()
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            await asyncio.to_thread(process.wait, 40)
        except subprocess.TimeoutExpired:
            process.kill()


async def _drain(pipe: Any) -> None:
    """So that a talkative service never blocks on its own log."""
    while True:
        pipe.read()
        await asyncio.sleep(0.2)


def command_of(args: argparse.Namespace) -> tuple[list[str], str, int]:
    """How to start the service, what it says once it listens, its port."""
    if args.echo:
        command = [sys.executable, __file__, "--echo-server", str(args.limit or args.clients)]
        return [*command, "--processes", str(args.processes)], r"(ws://\S+)", 0
    if args.serve:
        command = [sys.executable, "-m", "streamer", "serve", str(args.serve), "--port", "0"]
        command += ["--sessions", str(args.limit or args.clients), "--queue", "0"]
        command += ["--processes", str(args.processes)]
        return [*command, *(x for s in args.set for x in ("--set", s))], r"(ws://\S+)", 0
    m, port = args.sherpa, 6106
    server = Path(sys.executable).with_name("sherpa-onnx-online-websocket-server")
    command = [str(server), f"--port={port}", f"--tokens={m}/tokens.txt"]
    command += [f"--encoder={next(m.glob('encoder.int8.onnx'))}", f"--decoder={m}/decoder.onnx"]
    command += [f"--joiner={m}/joiner.onnx", "--num-threads=1", "--num-work-threads=2"]
    command += ["--num-io-threads=1", "--max-batch-size=32", "--log-file=/dev/null"]
    command += ["--rule1-min-trailing-silence=2.4", f"--rule2-min-trailing-silence={args.silence}"]
    return command, r"Started!|Listening on", port


async def run(args: argparse.Namespace, count: int) -> dict[str, Any]:
    """One load; returns its row."""
    said = scripts(args.corpus, count, args.seconds, args.pause)
    clients = [Client(s) for s in said]
    protocol = "native" if args.serve or (args.url and args.protocol == "native") else "sherpa"
    pid = 0

    async def load(url: str) -> tuple[float, float]:
        began, used = time.monotonic(), cpu_seconds(pid) if pid else float("nan")
        rng = np.random.default_rng(1)
        delays = rng.uniform(0, args.ramp, count)
        async with asyncio.TaskGroup() as group:
            for client, delay in zip(clients, delays, strict=True):
                group.create_task(speak(client, url, protocol, args.frame, float(delay)))
        return time.monotonic() - began, (cpu_seconds(pid) - used) if pid else float("nan")

    if args.url:
        wall, cpu = await load(args.url)
    else:
        async with service(*command_of(args)) as (url, pid):
            await asyncio.sleep(1.0)
            wall, cpu = await load(url)
    admitted = [c for c in clients if not c.refused]
    figures = measure(admitted)
    return {
        "clients": count,
        "served": sum(not c.broken for c in admitted),
        "refused": sum(bool(c.refused) for c in clients),
        "broken": sorted({c.broken for c in clients if c.broken}),
        "first_ms": percentiles(figures.first),
        "word_ms": percentiles(figures.word),
        "final_ms": percentiles(figures.final),
        "utterances": len(figures.final),
        "of": sum(len(c.script.utterances) for c in admitted),
        "wer": word_errors(admitted),
        "late_ms": percentiles([x for c in clients for x in c.lateness]),
        "server_cores": cpu / wall,
    }


def table(rows: Sequence[dict[str, Any]]) -> Table:
    """For people."""
    head = ["clients", "served", "refused", "first partial", "word", "final", "finals", "WER %"]
    out = Table(*head, "client late p99", "server cores", title="latencies: p50 / p90 / p99 ms")
    for r in rows:
        cells = [" / ".join(f"{x:.0f}" for x in r[k]) for k in ("first_ms", "word_ms", "final_ms")]
        out.add_row(
            str(r["clients"]),
            f"{r['served']}{' ' + ','.join(r['broken']) if r['broken'] else ''}",
            str(r["refused"]),
            *cells,
            f"{r['utterances']}/{r['of']}",
            f"{r['wer']:.1f}",
            f"{r['late_ms'][2]:.1f}",
            f"{r['server_cores']:.2f}",
        )
    return out


def plot(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """The latency curve: word and final against sessions."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(10, 4), sharex=True)
    x = [r["clients"] for r in rows]
    for axis, key, name in zip(axes, ("word_ms", "final_ms"), ("word", "final"), strict=True):
        for i, p in enumerate(("p50", "p90", "p99")):
            axis.plot(x, [r[key][i] for r in rows], marker="o", label=p)
        axis.set(xlabel="real-time sessions", ylabel="ms", title=f"{name} latency", yscale="log")
        axis.grid(alpha=0.3, which="both")
        axis.legend()
    figure.tight_layout()
    figure.savefig(path)


async def echo(args: argparse.Namespace) -> dict[str, Any]:
    """The gateway alone."""
    async with service(*command_of(args)) as (url, pid):
        used, began = cpu_seconds(pid), time.monotonic()
        row = await talk(url, args.clients, args.seconds, args.ramp)
        cores = (cpu_seconds(pid) - used) / (time.monotonic() - began)
    row["added_ms"], row["late_ms"] = percentiles(row.pop("added")), percentiles(row.pop("late"))
    return row | {"processes": args.processes, "server_cores": cores}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = os.environ.get("STREAMER_CORPUS")
    about = "folder with manifest.tsv (else the shipped sample)"
    parser.add_argument("corpus", type=Path, nargs="?", help=about)
    parser.add_argument("--serve", type=Path, metavar="GRAPH", help="start streamer serve with it")
    parser.add_argument("--sherpa", type=Path, metavar="MODEL", help="start sherpa-onnx's server")
    parser.add_argument("--url", help="a service that runs already")
    parser.add_argument("--protocol", choices=["native", "sherpa"], default="native")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--limit", type=int, help="sessions that the service accepts")
    parser.add_argument("--processes", type=int, default=1, help="of the service")
    parser.add_argument("--curve", help="several numbers of clients, one run each")
    parser.add_argument("--seconds", type=float, default=30.0, help="of speech a client")
    parser.add_argument("--pause", type=float, default=1.5, help="between utterances, s")
    parser.add_argument("--frame", type=float, default=0.1, help="audio in a message, s")
    parser.add_argument("--ramp", type=float, default=5.0, help="clients come within, s")
    parser.add_argument("--silence", type=float, default=0.4, help="endpoint of --sherpa, s")
    parser.add_argument("--echo", action="store_true", help="measure the gateway alone")
    parser.add_argument("--echo-server", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path)
    args = parser.parse_args()
    if args.echo_server:
        asyncio.run(echo_server(args.echo_server, args.processes))
        return
    counts = [int(c) for c in args.curve.split(",")] if args.curve else [args.clients]
    if max(counts) > CAP_CLIENTS or args.seconds > CAP_SECONDS:
        raise SystemExit(f"at most {CAP_CLIENTS} clients and {CAP_SECONDS} s")
    console = Console(width=150)
    console.print(f"load average {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores")
    if args.echo:
        row = asyncio.run(echo(args))
        console.print_json(json.dumps(row))
        rows = [row]
    else:
        if args.corpus is None and default is not None:
            args.corpus = Path(default) / "librispeech-other-dev"
        if not (args.serve or args.sherpa or args.url):
            raise SystemExit("give --serve, --sherpa or --url")
        rows = []
        for count in counts:
            args.clients = count
            rows.append(asyncio.run(run(args, count)))
            console.print(table(rows))
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1))
    if args.plot:
        plot(rows, args.plot)


if __name__ == "__main__":
    main()
