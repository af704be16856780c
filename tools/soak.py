#!/usr/bin/env python
"""Hours of real-time sessions on ``streamer serve``: does anything grow, leak or block?

    soak.py --graph graphs/serve-transducer.yaml --sessions 32 --minutes 60
    soak.py --sessions 4 --minutes 5 --warm-up 1

Clients (tools/load_clients.py) speak for ``--seconds``, end, and come again; every tenth is cut
off in the middle of a word instead. Every 30 s a line tells of the server: memory, sessions,
threads, open files, the event loop. At the end the verdict: memory has grown by less than 2 %
since the warm-up (medians of its first and last fifth), nothing stays behind, no session failed,
the event loop never stood still for longer than 50 ms. Linux only. Exit status 1 if not.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import sys
import time
import urllib.request
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from tools.load import service  # noqa: E402
from tools.load_clients import Client, Script, scripts, speak  # noqa: E402

BLOCK = 0.05
"""Seconds for which the event loop may stand still."""
GROWTH = 0.02


@dataclass(frozen=True, slots=True)
class Look:
    """The server at one moment."""

    minute: float
    rss_mb: float
    sessions: int
    threads: int
    files: int
    blocks: int
    """How often so far the event loop was later than ``BLOCK``."""
    ended: int
    failed: int
    late_ms: float
    """Upper bound of the longest block since the last look."""


@dataclass(slots=True)
class Crowd:
    """The clients, and what went wrong with them."""

    cut: int = 0
    done: int = 0
    broken: list[str] = field(default_factory=list)


async def come_and_go(crowd: Crowd, url: str, script: Script, number: int, until: float) -> None:
    """Session after session until the time is over."""
    turn = number
    await asyncio.sleep(number % 32 * 0.3)
    while time.monotonic() < until:
        turn += 1
        client = Client(script)
        talk = asyncio.create_task(speak(client, url, "native", 0.1, 0.0))
        if turn % 10 == 0:
            await asyncio.wait([talk], timeout=1.0 + turn % 7)
            talk.cancel()
            await asyncio.gather(talk, return_exceptions=True)
            crowd.cut += 1
            continue
        await talk
        crowd.done += 1
        if client.broken or client.refused:
            crowd.broken.append(client.broken or client.refused)
            await asyncio.sleep(1.0)


def metrics(url: str) -> dict[str, float]:
    """The server's own figures."""
    with urllib.request.urlopen(url, timeout=10) as page:
        lines = page.read().decode().splitlines()
    pairs = (line.rpartition(" ") for line in lines if not line.startswith("#"))
    return {name: float(value) for name, _, value in pairs}


def look(pid: int, url: str, began: float, lags: dict[float, float]) -> Look:
    """Ask /proc and /metrics; ``lags`` are the last look's buckets and are brought up to date."""
    status = Path(f"/proc/{pid}/status").read_text()
    seen = metrics(url)
    name = "streamer_event_loop_lag_seconds_bucket"
    now = {
        float(found[1]): count
        for key, count in seen.items()
        if (found := re.match(name + r'\{le="([^"]+)"\}', key))
    }
    total = now[float("inf")]
    bounds = sorted(now)
    late = 0.0
    for low, bound in zip([0.0, *bounds], bounds, strict=False):
        fresh = now[bound] - lags.get(bound, 0) - (now.get(low, 0) - lags.get(low, 0))
        late = bound if fresh > 0 else late
    lags.update(now)
    within = max(b for b in bounds if b <= BLOCK)
    return Look(
        round((time.monotonic() - began) / 60, 2),
        round(int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024, 1),  # type: ignore[index]
        int(seen["streamer_sessions"]),
        int(re.search(r"Threads:\s+(\d+)", status)[1]),  # type: ignore[index]
        len(os.listdir(f"/proc/{pid}/fd")),
        int(total - now[within]),
        int(seen['streamer_sessions_ended_total{outcome="ended"}']),
        int(seen['streamer_sessions_ended_total{outcome="failed"}']),
        round(late * 1000, 1),
    )


def verdict(looks: list[Look], idle: Look, warm_up: float, crowd: Crowd) -> list[str]:
    """What is wrong; ``idle`` is the server after the last client."""
    warm = [one for one in looks if one.minute >= warm_up]
    if len(warm) < 5:
        return [f"only {len(warm)} looks after the warm-up: run longer"]
    fifth = len(warm) // 5
    first = median(one.rss_mb for one in warm[:fifth])
    last = median(one.rss_mb for one in warm[-fifth:])
    growth = last / first - 1
    print(f"memory: {first:.0f} MB after the warm-up, {last:.0f} MB at the end ({growth:+.2%})")
    blocks = idle.blocks - warm[0].blocks
    checks = {
        f"memory grew by {growth:.2%}": growth >= GROWTH,
        f"{idle.sessions} sessions stayed open": idle.sessions > 0,
        f"{idle.failed} sessions failed": idle.failed > 0,
        f"clients broke off: {sorted(set(crowd.broken))}": bool(crowd.broken),
        f"{idle.files - looks[0].files} more files than before": idle.files > looks[0].files + 2,
        f"{idle.threads} threads, at most {max(o.threads for o in warm)} before": idle.threads
        > max(o.threads for o in warm),
        f"the event loop stood still for more than {BLOCK * 1000:.0f} ms {blocks} times": blocks
        > 0,
    }
    return [text for text, wrong in checks.items() if wrong]


async def soak(args: argparse.Namespace) -> int:
    """Run it; the exit status."""
    command = [sys.executable, "-m", "streamer", "serve", str(args.graph), "--port", "0"]
    # Those cut off keep their place for 10 s.
    command += ["--sessions", str(args.sessions * 2), "--queue", "0"]
    lags: dict[float, float] = {}
    looks: list[Look] = []
    crowd = Crowd()
    said = await asyncio.to_thread(scripts, args.corpus, args.sessions, args.seconds, 1.5)
    async with service(command, r"(ws://\S+)", 0) as (url, pid):
        page = url.replace("ws://", "http://").replace("/v1/stream", "/metrics")
        began = time.monotonic()
        until = began + args.minutes * 60
        looks.append(await asyncio.to_thread(look, pid, page, began, lags))
        async with asyncio.TaskGroup() as group:
            for number, script in enumerate(said):
                group.create_task(come_and_go(crowd, url, script, number, until))
            while (left := until - time.monotonic()) > 0:
                await asyncio.sleep(min(args.every, left))
                looks.append(await asyncio.to_thread(look, pid, page, began, lags))
                print(json.dumps(asdict(looks[-1])), flush=True)
        await asyncio.sleep(15)  # longer than a session waits for a client that was cut off
        idle = await asyncio.to_thread(look, pid, page, began, lags)
    print("idle:", json.dumps(asdict(idle)))
    print(f"{crowd.done} sessions spoken to their end, {crowd.cut} cut off")
    wrong = verdict(looks, idle, args.warm_up, crowd)
    print("\n".join(f"FAIL: {text}" for text in wrong) or "PASS")
    return 1 if wrong else 0


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("corpus", type=Path, nargs="?", help="what is spoken; else the sample")
    parser.add_argument("--graph", type=Path, default=ROOT / "graphs/serve-captions.yaml")
    parser.add_argument("--sessions", type=int, default=4, help="at once, in real time")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--warm-up", type=float, default=10.0, help="minutes")
    parser.add_argument("--seconds", type=float, default=20.0, help="of speech in a session")
    parser.add_argument("--every", type=float, default=30.0, help="seconds between two looks")
    args = parser.parse_args()
    raise SystemExit(asyncio.run(soak(args)))


if __name__ == "__main__":
    main()
