"""How soon an answer is heard: time to first audio (TTFA) of ``tts.speak``.

    python tools/bench_tts.py [--engine hibari piper] [--rounds 10] [--tokens-per-second 40]

Answers are written token by token. TTFA runs from when the token that completes the first clause
is sent until the node's first sound is at the next node. Interruptions come at random moments
while an answer is written and spoken, with the next answer's first clause straight behind: its
TTFA then holds what the interrupted work still cost. Bars: TTFA p50 <= 60 ms, p95 <= 150 ms, and
no stale packet after an interruption.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import re
import sys
from typing import Any

import numpy as np

from streamer.graph import Edge, Engine, GraphPlan, In, Node, NodePlan, Out, QueueSpec, Source
from streamer.nodes.tts_speak import TtsSpeak
from streamer.packets import ReplyText, SpokenAudio, Stamp
from streamer.tts.clauses import ClauseCutter

ANSWERS = [
    "Yes. The lights in the kitchen are off now.",
    "It is half past nine.",
    "The train leaves at 10:42 from platform 7, and you need about 15 minutes to the station.",
    "Well, that depends on what you mean by fast, but most people would say so.",
    "There are three of them: the first is red, the second is blue, and the third has no colour.",
    "Sorry, I did not understand that. Could you say it again?",
    "A litre of milk costs $1.29, so six of them are $7.74 in all.",
    "The tallest mountain on Earth is Mount Everest, which rises 8,849 metres above the sea.",
    "Good morning! You have two meetings today, one at 9 a.m. and one at half past two.",
    "To make the dough you mix flour and water with a little salt and let it rest overnight.",
]
TOKEN = re.compile(r"\s*\w{1,6}|\s*\W")


class Writer(Source):
    """Writes the answers one after the other and notes when the first clause was complete."""

    kind = "bench.writer"
    text: Out[ReplyText]

    async def run(self) -> None:
        bench: Bench = self.ctx.local["bench"]
        loop = asyncio.get_running_loop()
        for turn in range(bench.answers):
            interrupted = turn >= bench.calm
            cut_at = loop.time() + bench.chance.uniform(0.01, 1.0)
            bench.spoken.clear()
            stamp = Stamp(generation=self.ctx.generation)
            cutter = ClauseCutter()
            for token in TOKEN.findall(ANSWERS[turn % len(ANSWERS)] + " "):
                if interrupted and loop.time() > cut_at:
                    break
                if cutter.push(token):
                    bench.complete.setdefault(turn, loop.time())
                await self.text.send(ReplyText(turn, token), stamp)
                await asyncio.sleep(1 / bench.pace)
            if interrupted:
                await asyncio.sleep(max(cut_at - loop.time(), 0))
                bench.generation = await self.ctx.interrupt()
                continue
            bench.complete.setdefault(turn, loop.time())
            await self.text.send(ReplyText(turn, "", last=True), stamp)
            await bench.spoken.wait()


class Listener(Node):
    """Notes when the first sound of each answer came."""

    kind = "bench.listener"
    audio: In[SpokenAudio]

    async def process(self, audio: SpokenAudio) -> None:
        bench: Bench = self.ctx.local["bench"]
        bench.stale += self.ctx.stamp.generation < bench.generation
        bench.seconds += audio.duration
        if audio.samples.shape[0]:
            bench.first.setdefault(audio.turn, asyncio.get_running_loop().time())
        if audio.last:
            bench.spoken.set()


class Bench:
    """One engine's run."""

    def __init__(self, engine: str, rounds: int, interruptions: int, pace: float) -> None:
        self.engine, self.pace = engine, pace
        self.calm = rounds * len(ANSWERS)
        self.answers = self.calm + interruptions
        self.chance = random.Random(1)
        self.complete: dict[int, float] = {}
        self.first: dict[int, float] = {}
        self.spoken = asyncio.Event()
        self.generation = self.stale = 0
        self.seconds = 0.0

    async def run(self) -> None:
        nodes: dict[str, Any] = {
            "writer": NodePlan("writer", Writer, Writer.Config()),
            "tts": NodePlan("tts", TtsSpeak, TtsSpeak.Config(engine=self.engine)),
            "listener": NodePlan("listener", Listener, Listener.Config()),
        }
        queue = QueueSpec(seconds=None, items=10_000)
        edges = [
            Edge("writer", Writer.ports()[1]["text"], "tts", TtsSpeak.ports()[0]["text"], queue),
            Edge(
                "tts", TtsSpeak.ports()[1]["audio"], "listener", Listener.ports()[0]["audio"], queue
            ),
        ]
        engine = Engine(GraphPlan("bench", nodes, edges), local={"bench": self})
        await engine.run()

    def times(self, turns: range) -> np.ndarray:
        """TTFA in ms, sorted."""
        both = [t for t in turns if t in self.first and t in self.complete]
        return np.sort([(self.first[t] - self.complete[t]) * 1000 for t in both])

    def row(self, name: str, turns: range) -> tuple[str, bool]:
        """A line of the table, and whether it holds the bars."""
        ms = self.times(turns)
        p50, p95 = np.percentile(ms, [50, 95])
        ok = p50 <= 60 and p95 <= 150 and self.stale == 0
        return (
            f"| {self.engine} | {name} | {len(ms)} | {p50:.0f} | {p95:.0f} | {ms[-1]:.0f} "
            f"| {self.stale} | {'yes' if ok else 'NO'} |",
            bool(ok),
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--engine", nargs="+", default=["hibari"], choices=["hibari", "piper"])
    parser.add_argument("--rounds", type=int, default=10, help="times through the ten answers")
    parser.add_argument("--interruptions", type=int, default=50)
    parser.add_argument("--tokens-per-second", type=float, default=40.0)
    args = parser.parse_args()
    print("| engine | answers | n | TTFA p50 ms | p95 ms | max ms | stale packets | in bars |")
    print("|---|---|---|---|---|---|---|---|")
    held = True
    for engine in args.engine:
        bench = Bench(engine, args.rounds, args.interruptions, args.tokens_per_second)
        asyncio.run(bench.run())
        for name, turns in (
            ("whole", range(bench.calm)),
            ("behind an interruption", range(bench.calm + 1, bench.answers)),
        ):
            if len(turns):
                line, ok = bench.row(name, turns)
                print(line, flush=True)
                held = held and ok
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
