#!/usr/bin/env python
"""How quickly the assistant answers, how quickly it falls silent, and whether it lasts.

    python tools/bench_assistant.py [--part latency,barge-in,live-barge-in,nods,soak] [--json]

Talks to the graph ``graphs/assistant.yaml`` as it ships, its source replaced by a synthetic person
(hibari-tts, several pitches) and its outputs tapped. ``latency`` and ``live-barge-in`` run at the
pace of speech; the others on a virtual clock: media time is exact there, computing takes no time.

Voice-to-voice: from the last sample of the question above -40 dB of its peak to the first sample
of the answer at the sink. Barge-in to silence: from the first such sample of the interruption to
the end of the last sample played.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import sys
import threading
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import soxr
from rich.console import Console
from rich.table import Table
from ruamel.yaml import YAML

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from streamer.graph import Engine, In, Node, Out, Source, virtual
from streamer.graph.build import load_text
from streamer.graph.registry import Registry
from streamer.nodes import KINDS
from streamer.packets import (
    AudioFrame,
    Played,
    ReplyText,
    Samples,
    SpokenAudio,
    Stamp,
    UserTurn,
)
from streamer.tts.hibari import HibariVoice

ROOT = Path(__file__).resolve().parents[1]
RATE = 16000
CHUNK = RATE // 50
QUESTIONS = (
    "What time is it?",
    "What day is it?",
    "Who are you?",
    "Good morning.",
    "What is your name?",
    "Turn on the light in the kitchen.",
    "Can you tell me what the date is today?",
    "Switch the radio off.",
)
LONG = "What can you do?"
INTERRUPTIONS = ("Stop.", "Wait, what time is it?", "Be quiet.", "No, who are you?", "Never mind.")
NODS = ("Mm-hm.", "Yeah.", "Okay.", "Uh-huh.", "Right.", "I see.")
PITCHES = (0.8, 0.86, 0.92, 1.0, 1.08)


@cache
def voice() -> HibariVoice:
    return HibariVoice("heart")


@cache
def speech(text: str, pitch: float = 0.92) -> Samples:
    """``text`` spoken, from its first to its last sample above -40 dB of the peak; peak 0.4."""
    samples = np.concatenate([run.samples for run in voice().speak(text)])
    samples = soxr.resample(samples, voice().rate * pitch, RATE).astype(np.float32)
    loud = np.flatnonzero(np.abs(samples) > 0.01 * np.abs(samples).max())
    samples = samples[loud[0] : loud[-1] + 1]
    return np.asarray(samples * (0.4 / np.abs(samples).max()), np.float32)


@dataclass
class Stage:
    """What the person says, and everything that came of it, with clock times."""

    over: bool = False
    begin: float = 0.0
    position: int = 0
    saying: list[tuple[int, Samples]] = field(default_factory=list)
    turns: list[tuple[float, UserTurn]] = field(default_factory=list)
    tokens: list[tuple[float, ReplyText]] = field(default_factory=list)
    spoken: list[SpokenAudio] = field(default_factory=list)
    played: list[tuple[float, Played]] = field(default_factory=list)
    sound: list[tuple[float, AudioFrame]] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    noise: np.random.Generator = field(default_factory=lambda: np.random.default_rng(1))

    def say(self, samples: Samples) -> tuple[float, float]:
        """Begin with the next chunk; when the voice begins and ends on the clock."""
        start = self.position + CHUNK
        self.saying.append((start, samples))
        begin = self.begin + start / RATE
        return begin, begin + len(samples) / RATE

    def chunk(self) -> Samples:
        """The next 20 ms: all who speak, and noise at -65 dB."""
        out = self.noise.normal(0, 10 ** (-65 / 20), CHUNK).astype(np.float32)
        at = self.position
        for start, samples in self.saying:
            low, high = max(start, at), min(start + len(samples), at + CHUNK)
            if low < high:
                out[low - at : high - at] += samples[low - start : high - start]
        self.saying = [(s, x) for s, x in self.saying if s + len(x) > at + CHUNK]
        return out

    async def until(self, condition: Callable[[], bool], limit: float = 30.0) -> bool:
        """Wait for ``condition``; False if it does not come true in ``limit`` seconds."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + limit
        while not condition():
            self.news.clear()
            try:
                async with asyncio.timeout_at(deadline):
                    await self.news.wait()
            except TimeoutError:
                return False
        return True

    def state(self, turn: int, *states: str) -> float | None:
        """When the answer to ``turn`` came into one of the states."""
        return next((t for t, p in self.played if p.turn == turn and p.state in states), None)

    def clear(self) -> None:
        for record in (self.turns, self.tokens, self.spoken, self.played, self.sound):
            record.clear()  # type: ignore[attr-defined]


class Person(Source):
    """Says what the stage says, at the pace of the clock."""

    kind = "bench.person"
    live = True
    audio: Out[AudioFrame]

    async def run(self) -> None:
        stage: Stage = self.ctx.local["stage"]
        loop = asyncio.get_running_loop()
        stage.begin = loop.time()
        while not stage.over and not self.ctx.stopping.is_set():
            frame = AudioFrame(stage.chunk()[:, None], RATE, stage.position)
            stage.position += CHUNK
            stage.news.set()
            due = stage.begin + frame.end / RATE
            await asyncio.sleep(max(0.0, due - loop.time()))
            stamp = Stamp("", frame.end, RATE, int(due * 1e9), self.ctx.generation)
            await self.audio.send(frame, stamp)

    @classmethod
    def gives(cls, config: Any) -> dict[str, dict[str, Any]]:
        return {"audio": {"rate": RATE, "channels": 1}}


class Tap(Node):
    """Notes everything on the stage."""

    kind = "bench.tap"
    turn: In[UserTurn]
    reply: In[ReplyText]
    spoken: In[SpokenAudio]
    played: In[Played]
    sound: In[AudioFrame]

    def _note(self, where: list[Any], value: Any) -> None:
        where.append((asyncio.get_running_loop().time(), value))
        self.ctx.local["stage"].news.set()

    async def process_turn(self, turn: UserTurn) -> None:
        self._note(self.ctx.local["stage"].turns, turn)

    async def process_reply(self, reply: ReplyText) -> None:
        self._note(self.ctx.local["stage"].tokens, reply)

    async def process_spoken(self, spoken: SpokenAudio) -> None:
        self.ctx.local["stage"].spoken.append(spoken)

    async def process_played(self, played: Played) -> None:
        self._note(self.ctx.local["stage"].played, played)

    async def process_sound(self, sound: AudioFrame) -> None:
        self._note(self.ctx.local["stage"].sound, sound)


def assistant(stage: Stage, out: str, graph: str) -> Engine:
    """A shipped graph with the person in front and the tap behind."""
    data = YAML(typ="safe").load((ROOT / "graphs" / f"{graph}.yaml").read_text())
    nodes = data["nodes"]
    nodes["mic" if "mic" in nodes else "source"] = {"use": "bench.person"}
    nodes["speaker"] = {"use": "sink.wav", "in": "tts", "path": out}
    taps = {"turn": "turn", "reply": "brain", "spoken": "tts", "played": "speaker.played"}
    nodes["timeline"] = {"use": "bench.tap", "in": {**taps, "sound": "speaker.reference"}}
    here = "tools.bench_assistant"
    kinds = {"bench.person": f"{here}:Person", "bench.tap": f"{here}:Tap"}
    plan = load_text(json.dumps(data), graph, Registry({**KINDS, **kinds}), variables={})
    return Engine(plan, local={"stage": stage})


def play(
    script: Callable[[Stage, Engine], Awaitable[None]],
    out: str = os.devnull,
    graph: str = "assistant",
) -> Coroutine[Any, Any, Engine]:
    """Run the assistant while ``script`` talks to it."""
    voice()
    stage = Stage()
    return _play(script, stage, assistant(stage, out, graph))


async def _play(
    script: Callable[[Stage, Engine], Awaitable[None]], stage: Stage, engine: Engine
) -> Engine:
    running = asyncio.create_task(engine.run())
    try:
        await stage.until(lambda: stage.position > 0)
        await script(stage, engine)
        stage.over = True
        await running
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    return engine


# -- parts ------------------------------------------------------------------------------------


@dataclass
class Answered:
    """Milliseconds from the end of the voice."""

    decided: float
    token: float
    audio: float


async def ask(stage: Stage, text: str, pitch: float) -> Answered | None:
    """Ask, wait for the end of the answer; None if it was not exactly one turn, answered once."""
    stage.clear()
    _, end = stage.say(speech(text, pitch))
    done = lambda: stage.played and stage.played[-1][1].state == "done"  # noqa: E731
    if not await stage.until(done, 40) or len(stage.turns) != 1:
        return None
    starts = [t for t, p in stage.played if p.state == "start"]
    if len(starts) != 1 or not stage.sound:
        return None
    times = (stage.turns[0][0], stage.tokens[0][0], stage.sound[0][0])
    return Answered(*((t - end) * 1000 for t in times))


def latency(turns: int) -> list[list[Any]]:
    rng = random.Random(3)
    found: list[Answered | None] = []
    asked = [(QUESTIONS[i % len(QUESTIONS)], rng.choice(PITCHES)) for i in range(turns)]
    for question in asked:
        speech(*question)

    async def script(stage: Stage, engine: Engine) -> None:
        await asyncio.sleep(0.5)
        for text, pitch in asked:
            found.append(await ask(stage, text, pitch))
            await asyncio.sleep(rng.uniform(0.2, 0.6))

    asyncio.run(play(script))
    good = [a for a in found if a is not None]
    rows = []
    for name, bars in (("decided", {}), ("token", {}), ("audio", {50: 500, 95: 800})):
        values = [getattr(a, name) for a in good]
        label = "voice-to-voice" if name == "audio" else f"voice to {name}"
        rows += [
            _row(f"{label} p{q} (ms)", np.percentile(values, q), bars.get(q)) for q in (50, 95)
        ]
        rows.append(_row(f"{label} worst (ms)", max(values)))
    rows.append(_row(f"of {turns} turns lost or answered twice", turns - len(good), 0))
    return rows


@dataclass
class BargeIn:
    silence: float
    """Milliseconds from the first sample of the interruption to the end of the last one played."""
    decided: float
    """Milliseconds from the decision to the end of the last sample played."""
    stale: int
    """Samples played after the decision."""
    true_text: bool
    """Whether the dialogue holds exactly the words that were played to their end."""


async def barge_in(stage: Stage, rng: random.Random) -> BargeIn | None:
    """Ask for a long answer and interrupt it somewhere; None if it was not interrupted."""
    stage.clear()
    stage.say(speech(LONG, rng.choice(PITCHES)))
    if not await stage.until(lambda: bool(stage.sound)):
        return None
    asked = stage.turns[0][1].index
    await asyncio.sleep(rng.uniform(0.0, 9.0))
    onset, _ = stage.say(speech(rng.choice(INTERRUPTIONS), rng.choice(PITCHES)))
    if not await stage.until(lambda: stage.state(asked, "interrupted") is not None, 8):
        await stage.until(lambda: stage.state(asked, "done") is not None)
        await asyncio.sleep(1)
        return None
    decided = stage.state(asked, "interrupted")
    assert decided is not None
    answered = await stage.until(lambda: any(
        p.turn != asked and p.state == "done" for _, p in stage.played))  # fmt: skip
    await asyncio.sleep(0.3)
    again = min((t for t, p in stage.played if p.turn != asked), default=1e18)
    before = [(t, f) for t, f in stage.sound if t < again - 1e-9]
    # The first block of the next answer is reported just before its "start".
    if before and answered and again - before[-1][0] < 0.005:
        before.pop()
    last, frame = before[-1]
    silent = last + frame.duration
    stale = sum(len(f.samples) for t, f in before if t > decided + 1e-9)
    told = next(p for _, p in stage.played if p.turn == asked and p.state == "interrupted")
    words = [w for s in stage.spoken if s.turn == asked for w in s.words]
    heard = " ".join(w.text for w in words if w.end <= told.seconds + 1e-6)
    samples = sum(len(f.samples) for _, f in before)
    exact = abs(samples - told.seconds * frame.rate) < 1
    if not answered:
        return None
    return BargeIn((silent - onset) * 1000, max(0, silent - decided) * 1000, stale,
                   told.text == heard and exact)  # fmt: skip


def barge_ins(count: int, run: Callable[[Any], Any], label: str) -> list[list[Any]]:
    found: list[BargeIn | None] = []

    async def script(stage: Stage, engine: Engine) -> None:
        rng = random.Random(5)
        await asyncio.sleep(0.5)
        for _ in range(count):
            found.append(await barge_in(stage, rng))
            await asyncio.sleep(0.3)

    run(play(script))
    good = [b for b in found if b is not None]
    silence = [b.silence for b in good]
    return [
        _row(f"{label}: to silence p50 (ms)", np.percentile(silence, 50)),
        _row(f"{label}: to silence p99 (ms)", np.percentile(silence, 99), 150),
        _row(f"{label}: to silence worst (ms)", max(silence)),
        _row(f"{label}: samples after the decision", sum(b.stale for b in good), 0),
        _row(f"{label}: dialogue unlike the played words", sum(not b.true_text for b in good), 0),
        _row(f"{label}: of {count} not interrupted", count - len(good), 0),
    ]  # fmt: skip


def nods(count: int) -> list[list[Any]]:
    """Nods in the middle of answers; how many interrupted, and how long the answer stood still."""
    held: list[float] = []
    wrong: list[str] = []

    async def script(stage: Stage, engine: Engine) -> None:
        rng = random.Random(7)
        await asyncio.sleep(0.5)
        for i in range(count):
            stage.clear()
            stage.say(speech(LONG, rng.choice(PITCHES)))
            await stage.until(lambda: bool(stage.sound))
            await asyncio.sleep(rng.uniform(0.5, 6.0))
            stage.say(speech(NODS[i % len(NODS)], rng.choice(PITCHES)))
            await stage.until(lambda: stage.played[-1][1].state in ("done", "interrupted"), 40)
            if stage.played[-1][1].state == "interrupted":
                wrong.append(NODS[i % len(NODS)])
                await stage.until(lambda: stage.played[-1][1].state == "done", 20)
            times = [t for t, _ in stage.sound]
            gaps = [b - a for a, b in zip(times, times[1:], strict=False)]
            held.append(max(gaps, default=0.0))
            await asyncio.sleep(1.0)

    virtual.run(play(script))
    return [
        _row(f"nods: of {count} interrupted", len(wrong), 0),
        _row("nods: answer stood still p50 (ms)", float(np.percentile(held, 50)) * 1000),
        _row("nods: answer stood still worst (ms)", max(held) * 1000),
    ]


def soak(turns: int) -> list[list[Any]]:
    memory: list[float] = []
    threads: list[int] = []
    ages: list[float] = []
    bad: list[int] = []
    asked: list[int] = []
    for text in QUESTIONS:
        for pitch in PITCHES:
            speech(text, pitch)

    async def script(stage: Stage, engine: Engine) -> None:
        rng = random.Random(11)
        await asyncio.sleep(0.5)
        for i in range(turns):
            if await ask(stage, QUESTIONS[i % len(QUESTIONS)], rng.choice(PITCHES)) is None:
                bad.append(i)
            if stage.turns:
                asked.append(stage.turns[-1][1].index)
            await asyncio.sleep(rng.uniform(0.1, 0.5))
            memory.append(_rss())
            threads.append(threading.active_count())
            ages.append(max(channel.stats().oldest for channel in engine.channels))

    virtual.run(play(script))
    tenth = max(1, turns // 10)
    early, late = memory[2 * tenth : 3 * tenth], memory[-tenth:]
    return [
        _row(f"soak: of {turns} turns lost or answered twice", len(bad), 0),
        _row("soak: turn numbers skipped or repeated", sum(
            b - a != 1 for a, b in zip(asked, asked[1:], strict=False)), 0),
        _row("soak: memory, last tenth less third tenth (MB)",
             float(np.median(late) - np.median(early)), 5),
        _row("soak: threads, last less third tenth",
             max(threads[-tenth:]) - max(threads[2 * tenth : 3 * tenth]), 0),
        _row("soak: oldest packet between turns, last tenth (ms)",
             max(ages[-tenth:]) * 1000, 50),
    ]  # fmt: skip


def _rss() -> float:
    """Megabytes of this process in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _row(name: str, value: float, bar: float | None = None) -> list[Any]:
    return [name, round(float(value), 1), bar]


PARTS = {
    "latency": lambda n: latency(n or 30),
    "barge-in": lambda n: barge_ins(n or 200, virtual.run, "barge-in"),
    "live-barge-in": lambda n: barge_ins(n or 15, asyncio.run, "live barge-in"),
    "nods": lambda n: nods(n or 24),
    "soak": lambda n: soak(n or 500),
}


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", default="latency,barge-in,live-barge-in,nods,soak")
    parser.add_argument("--count", type=int, default=0, help="turns, instead of each part's own")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(argv)
    rows = [row for part in options.part.split(",") for row in PARTS[part](options.count)]
    if options.json:
        print(json.dumps([dict(zip(("name", "value", "bar"), row, strict=True)) for row in rows]))
        return
    table = Table(title="Assistant")
    for column in ("", "value", "bar", ""):
        table.add_column(column, justify="right" if column else "left")
    for name, value, bar in rows:
        verdict = "" if bar is None else "ok" if value <= bar else "[red]missed[/]"
        table.add_row(name, f"{value:g}", "" if bar is None else f"<= {bar:g}", verdict)
    Console(width=100).print(table)


if __name__ == "__main__":
    # The registry imports this module by its name; the classes must be the same ones.
    from tools import bench_assistant

    bench_assistant.main()
