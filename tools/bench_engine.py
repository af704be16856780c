"""What the engine itself costs: hops a second, latency a hop, the price of tracing.

    python tools/bench_engine.py [--json]

A chain of trivial nodes passes 20 ms frames of 16 kHz audio. One run as fast as the machine can
(hops a second), one at real-time pace (added latency a hop), tracing on in both.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from typing import Any

import numpy as np

from streamer.graph import Edge, Engine, GraphPlan, In, Node, NodePlan, Out, QueueSpec, Source
from streamer.packets import AudioFrame, Stamp
from streamer.trace import AGE

RATE, CHUNK = 16000, 320


class Frames(Source):
    """``total`` frames, one every ``every`` seconds."""

    audio: Out[AudioFrame]
    total = 0
    every = 0.0

    async def run(self) -> None:
        samples = np.zeros((CHUNK, 1), np.float32)
        begin = asyncio.get_running_loop().time()
        for number in range(self.total):
            if self.every:
                due = begin + number * self.every
                await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()))
            frame = AudioFrame(samples, RATE, number * CHUNK)
            stamp = Stamp(position=frame.end, rate=RATE, captured_ns=self.ctx.now_ns())
            await self.audio.send(frame, stamp)


class Hop(Node):
    """Hands the frame on."""

    audio: In[AudioFrame]
    out: Out[AudioFrame]

    async def process(self, frame: AudioFrame) -> None:
        await self.out.send(frame)


class End(Node):
    """Takes the frame."""

    audio: In[AudioFrame]

    async def process(self, frame: AudioFrame) -> None:
        pass


def chain(hops: int, total: int, every: float) -> GraphPlan:
    """source -> hop 1 -> ... -> hop n -> end."""
    source = type("Paced", (Frames,), {"total": total, "every": every})
    classes: dict[str, Any] = {"source": source}
    classes |= {f"hop{n}": Hop for n in range(1, hops + 1)} | {"end": End}
    names = list(classes)
    edges = []
    for left, right in zip(names, names[1:], strict=False):
        out = next(iter(classes[left].ports()[1].values()))
        edges.append(Edge(left, out, right, classes[right].ports()[0]["audio"], QueueSpec(0.4)))
    nodes = {name: NodePlan(name, cls, cls.Config()) for name, cls in classes.items()}
    return GraphPlan("chain", nodes, edges)


class NoRecorder:
    """Stands in for the recorder to price it."""

    def __init__(self) -> None:
        self._track = object()

    def track(self, name: str) -> object:
        return self._track

    def add(self, *_: Any) -> None:
        pass


def fast(hops: int, frames: int, traced: bool) -> float:
    """Node hops a second (edges crossed), as fast as possible."""
    engine = Engine(chain(hops, frames, 0.0), recorder=None if traced else NoRecorder())  # type: ignore[arg-type]
    begin = time.perf_counter()
    asyncio.run(engine.run())
    return frames * (hops + 1) / (time.perf_counter() - begin)


def paced(hops: int, seconds: float) -> dict[str, float]:
    """Added latency a hop (ms) at real-time pace."""
    engine = Engine(chain(hops, int(seconds / 0.02), 0.02))
    cpu = time.process_time()
    asyncio.run(engine.run())
    cpu = time.process_time() - cpu
    age = engine.recorder.track("end").histograms[AGE]
    per_hop = {f"p{p}": age.percentile(p) / 1e6 / (hops + 1) for p in (50, 90, 99)}
    return per_hop | {"worst": age.highest / 1e6 / (hops + 1), "cpu_percent": 100 * cpu / seconds}


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hops", type=int, default=10)
    parser.add_argument("--frames", type=int, default=20000)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    fast(args.hops, 1000, True)
    runs = [
        (fast(args.hops, args.frames, True), fast(args.hops, args.frames, False)) for _ in "123"
    ]
    with_trace, without = (sorted(column)[1] for column in zip(*runs, strict=True))
    latency = paced(args.hops, args.seconds)
    result = {"hops_per_s": with_trace, "hops_per_s_untraced": without, "latency_ms": latency}
    if args.json:
        print(json.dumps(result))
        return
    print(f"chain of {args.hops} nodes, 20 ms frames")
    print(f"  hops a second, tracing on      {with_trace:12,.0f}   (bar 20,000)")
    print(f"  hops a second, tracing off     {without:12,.0f}   ratio {with_trace / without:.3f}")
    print(f"  added latency a hop at real-time pace ({args.seconds:.0f} s), ms")
    print("    " + "  ".join(f"{key} {value:.3f}" for key, value in latency.items()))
    print(f"  tracing: {1e6 / with_trace - 1e6 / without:.2f} us a hop = ", end="")
    rate = 50 * (args.hops + 1)
    print(f"{100 * rate * (1 / with_trace - 1 / without):.2f} % of a core at this load")


if __name__ == "__main__":
    main()
