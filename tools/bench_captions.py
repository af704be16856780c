#!/usr/bin/env python
"""How good and how late the captions are: WER, CER, first partial, final, UPWR, words astray.

    python tools/bench_captions.py CORPUS [--part accuracy,latency] [--node asr.two_pass] [--json]

CORPUS (or $STREAMER_CORPUS) holds ``librispeech-other-dev``. Every figure goes through the same
graph as live captions: source, Silero VAD, a recogniser. docs/evaluation.md defines each.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rapidfuzz.distance import Levenshtein
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from streamer import hub
from streamer.asr.moonshine import RATE, Moonshine
from streamer.audio.decode import AudioReader
from streamer.graph import Engine, In, Node, Out, Source
from streamer.graph.build import load_text
from streamer.graph.registry import Registry
from streamer.graph.resources import Resources
from streamer.nodes import KINDS
from streamer.packets import AudioFrame, Samples, Stamp, Transcript
from tools.asr_train.text import normalise
from tools.wer import Rate, error_rate, errors_by_utterance, unstable_words

SET = "librispeech-other-dev"
WORDS = Path(__file__).parent / "data" / f"{SET}-words.tsv"
CHUNK = RATE // 50
GRAPH = """
version: 1
nodes:
  speech: {{use: bench.speech}}
  vad: {{use: vad.silero, in: speech}}
  asr: {{use: {node}, in: {{audio: speech, speech: vad}}, {settings}}}
  screen: {{use: bench.screen, in: asr}}
"""


@dataclass(frozen=True)
class Utterance:
    name: str
    speaker: str
    text: str
    samples: Samples


@dataclass
class Stream:
    """Utterances one after the other, and what came out of the graph with its arrival time."""

    utterances: Sequence[Utterance]
    pause: float
    realtime: bool = False
    samples: Samples = field(init=False)
    begins: list[float] = field(init=False, default_factory=list)
    """Media seconds at which each utterance begins."""
    shown: list[tuple[Transcript, float]] = field(init=False, default_factory=list)
    """Transcripts and the media time that was being spoken when each arrived."""

    def __post_init__(self) -> None:
        silence = np.zeros(int(self.pause * RATE), np.float32)
        parts: list[Samples] = []
        for utterance in self.utterances:
            self.begins.append(sum(map(len, parts)) / RATE)
            parts += [utterance.samples, silence]
        self.samples = np.concatenate(parts)

    @property
    def finals(self) -> list[Transcript]:
        return [transcript for transcript, _ in self.shown if transcript.final]


class Speech(Source):
    audio: Out[AudioFrame]

    @classmethod
    def gives(cls, config: Any) -> dict[str, dict[str, Any]]:
        return {"audio": {"rate": RATE, "channels": 1}}

    async def run(self) -> None:
        stream: Stream = self.ctx.local["stream"]
        begin = self.ctx.local["begin"] = self.ctx.now_ns()
        for start in range(0, len(stream.samples), CHUNK):
            frame = AudioFrame(stream.samples[start : start + CHUNK, None], RATE, start)
            due = begin + frame.end * 1_000_000_000 // RATE
            if stream.realtime and (wait := due - self.ctx.now_ns()) > 0:
                await asyncio.sleep(wait / 1e9)
            captured = due if stream.realtime else self.ctx.now_ns()
            await self.audio.send(frame, Stamp("", frame.end, RATE, captured))


class Screen(Node):
    items: In[Transcript]

    async def process(self, transcript: Transcript) -> None:
        age = (self.ctx.now_ns() - self.ctx.local["begin"]) / 1e9
        self.ctx.local["stream"].shown.append((transcript, age))


def read_corpus(folder: Path) -> list[Utterance]:
    out = []
    with (folder / "manifest.tsv").open(encoding="utf-8", newline="") as source:
        for row in csv.DictReader(source, delimiter="\t", quoting=csv.QUOTE_NONE):
            reader = AudioReader(str(folder / row["path"]))
            samples = np.concatenate([f.samples[:, 0] for f in reader.read(1e6)])
            reader.close()
            out.append(Utterance(row["utt_id"], row["speaker"], row["text"], samples))
    return out


async def transcribe(
    streams: Sequence[Stream], resources: Resources, settings: str, node: str = "asr.moonshine"
) -> float:
    """Send the streams through the graph, one after the other; returns the seconds it took."""
    began = time.monotonic()
    registry = Registry({**KINDS, "bench.speech": Speech, "bench.screen": Screen})
    plan = load_text(GRAPH.format(node=node, settings=settings), "bench", registry)
    for stream in streams:
        await Engine(plan, resources=resources, local={"stream": stream}).run()
    return time.monotonic() - began


def scores(streams: Sequence[Stream], texts: Sequence[str]) -> tuple[Rate, Rate]:
    """WER and CER; ``texts`` are what was recognised of each stream."""
    words: list[tuple[int, int]] = []
    characters: list[tuple[int, int]] = []
    for stream, text in zip(streams, texts, strict=True):
        references = [u.text for u in stream.utterances]
        words += errors_by_utterance(references, text)
        characters += errors_by_utterance(references, text, characters=True)
    return error_rate(words), error_rate(characters)


async def accuracy(corpus: Sequence[Utterance], resources: Resources) -> list[dict[str, Any]]:
    """One row for each way of giving the same utterances."""
    seconds = sum(len(u.samples) for u in corpus) / RATE
    by_speaker: dict[str, list[Utterance]] = {}
    for utterance in corpus:
        by_speaker.setdefault(utterance.speaker, []).append(utterance)
    rows = []

    def row(name: str, streams: Sequence[Stream], texts: Sequence[str], took: float) -> None:
        wer, cer = scores(streams, texts)
        rows.append({"what": name, "wer": wer, "cer": cer, "rtf": took / seconds})
        print(name, wer, cer, f"{took:.0f} s", file=sys.stderr)

    files = hub.resolve("moonshine-base-en").files
    model = Moonshine(files["encoder"], files["decoder"], files["tokenizer"])
    alone = [Stream([u], 0.0) for u in corpus]
    began = time.monotonic()
    texts = [model.tokenizer.decode(model.decode(u.samples).tokens) for u in corpus]
    row("whole utterances, no graph", alone, texts, time.monotonic() - began)

    for name, settings, pause in (
        ("one stream an utterance", "partials: false", None),
        ("a stream a speaker, 1 s pauses", "partials: false", 1.0),
        ("a stream a speaker, no pauses", "partials: false", 0.0),
        ("1 s pauses, partials each 0.5 s", "partial_interval: 0.5s", 1.0),
    ):
        if pause is None:
            streams = [Stream([u], 0.5) for u in corpus]
        else:
            streams = [Stream(us, pause) for us in by_speaker.values()]
        took = await transcribe(streams, resources, settings)
        row(name, streams, [" ".join(t.text for t in s.finals) for s in streams], took)
    return rows


def read_words() -> dict[str, list[tuple[str, float]]]:
    """Per utterance its words and when each ends (s); nan where a word could not be aligned."""
    words: dict[str, list[tuple[str, float]]] = {}
    with WORDS.open(encoding="utf-8", newline="") as source:
        for row in csv.DictReader(source, delimiter="\t"):
            words.setdefault(row["utt_id"], []).append((row["word"], float(row["end"] or "nan")))
    return words


def latencies(stream: Stream) -> tuple[list[float], list[float]]:
    """First-partial and final latency (s) of each aligned utterance."""
    aligned = read_words()
    first, final = [], []
    for utterance, begin in zip(stream.utterances, stream.begins, strict=True):
        words = aligned.get(utterance.name, [("", np.nan)])
        first_end, last_end = (begin + words[which][1] for which in (0, -1))
        if not np.isfinite(first_end + last_end):
            continue
        until = begin + len(utterance.samples) / RATE
        mine = [(t, at) for t, at in stream.shown if begin < t.end and t.start < until]
        seen = [at for t, at in mine if t.text and at > begin]
        done = [at for t, at in mine if t.final and t.start < last_end <= t.end + 0.1]
        if seen and done:
            first.append(seen[0] - first_end)
            final.append(done[-1] - last_end)
        else:
            print(f"{utterance.name}: nothing shown, or no final", file=sys.stderr)
    return first, final


def upwr(stream: Stream) -> float:
    """Unstable partial words for each word of the finals."""
    segments: dict[int, list[str]] = {}
    for transcript, _ in stream.shown:
        segments.setdefault(transcript.segment, []).append(transcript.text)
    words = sum(len(revisions[-1].split()) for revisions in segments.values())
    return sum(unstable_words(revisions) for revisions in segments.values()) / max(words, 1)


def astray(stream: Stream) -> float:
    """How many words the screen is wrong by, on average over the time in which is spoken.

    Every 100 ms of an utterance whose words are all aligned: the edits between the words said up
    to then and those that the screen shows of it, be they missing, wrong or early.
    """
    aligned = read_words()
    edits: list[int] = []
    for utterance, begin in zip(stream.utterances, stream.begins, strict=True):
        words = aligned.get(utterance.name, [])
        if not words or not np.isfinite([end for _, end in words]).all():
            continue
        until = begin + len(utterance.samples) / RATE
        mine = [(t, at) for t, at in stream.shown if begin < t.end and t.start < until]
        for now in np.arange(begin + words[0][1], until, 0.1):
            screen = {t.segment: t.text for t, at in mine if at <= now}
            shown = normalise(" ".join(screen[i] for i in sorted(screen))).split()
            said = [word for word, end in words if begin + end <= now]
            edits.append(Levenshtein.distance(said, shown))
    return float(np.mean(edits))


async def latency(
    corpus: Sequence[Utterance], resources: Resources, node: str, settings: str
) -> dict[str, Any]:
    stream = Stream(corpus, 1.0, realtime=True)
    await transcribe([stream], resources, settings, node)
    first, final = latencies(stream)
    wer, _ = scores([stream], [" ".join(t.text for t in stream.finals)])
    partials = len(stream.shown) - len(stream.finals)
    return {
        "utterances": len(first),
        "seconds": len(stream.samples) / RATE,
        "first_partial": _percentiles(first),
        "final": _percentiles(final),
        "upwr": upwr(stream),
        "astray": astray(stream),
        "partials_per_second": partials / (len(stream.samples) / RATE),
        "wer": wer,
    }


def _percentiles(values: Sequence[float]) -> dict[str, float]:
    return {f"p{p}": float(np.percentile(values, p)) for p in (50, 95, 100)}


def show(report: dict[str, Any]) -> None:
    console = Console(width=100)
    if "accuracy" in report:
        table = Table("finals", "WER % [95 %]", "CER % [95 %]", "real-time factor")
        for row in report["accuracy"]:
            table.add_row(row["what"], str(row["wer"]), str(row["cer"]), f"{row['rtf']:.2f}")
        console.print(table)
    if "latency" in report:
        found = report["latency"]
        table = Table("at real-time pace", "p50", "p95", "worst")
        for key in ("first_partial", "final"):
            name = key.replace("_", " ")
            table.add_row(f"{name} (s)", *(f"{value:.2f}" for value in found[key].values()))
        console.print(table)
        console.print(
            f"{found['utterances']} utterances, {found['seconds']:.0f} s; "
            f"UPWR {found['upwr']:.2f}; {found['astray']:.2f} words astray; "
            f"{found['partials_per_second']:.1f} partials/s; "
            f"WER of the finals {found['wer']} %"
        )


async def bench(
    corpus: Sequence[Utterance], parts: Sequence[str], count: int, node: str, settings: str
) -> dict[str, Any]:
    report: dict[str, Any] = {"cores": os.cpu_count(), "load": os.getloadavg()}
    async with Resources().lifetime() as resources:
        if "accuracy" in parts:
            report["accuracy"] = await accuracy(corpus, resources)
        if "latency" in parts:
            step = max(1, len(corpus) // count)
            report["latency"] = await latency(corpus[::step][:count], resources, node, settings)
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("corpus", nargs="?", default=os.environ.get("STREAMER_CORPUS"))
    parser.add_argument("--part", default="accuracy,latency", help="accuracy, latency or both")
    parser.add_argument("--utterances", type=int, default=12, help="how many for the latency")
    parser.add_argument("--node", default="asr.moonshine", help="recogniser of the latency part")
    parser.add_argument("--settings", default="partials: true", help="its settings, as YAML")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    args = parser.parse_args()
    if not args.corpus:
        parser.error("give the corpus folder or set STREAMER_CORPUS")
    corpus = read_corpus(Path(args.corpus) / SET)
    report = asyncio.run(
        bench(corpus, args.part.split(","), args.utterances, args.node, args.settings)
    )
    if args.json:
        print(json.dumps(report, default=asdict, indent=1))
    else:
        show(report)


if __name__ == "__main__":
    main()
