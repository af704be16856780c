#!/usr/bin/env python
"""Keyword spotting: detection rate against false alarms per hour.

    bench_keywords.py [--model NAME] [--corpus DIR] [--chunk 320] [--json]

Detection: each phrase spoken by the offline voice hibari-tts in five pitches and three paces, alone
and inside sentences, clean and at 10 dB SNR. False alarms: sentences of the same voice that do not
hold the phrases, and every folder of real speech under ``--corpus`` (STREAMER_CORPUS) that ends in
``-dev``. One row a threshold.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soxr
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from streamer.asr.interop import load_engine
from streamer.asr.streaming.engine import Floats, StreamingEngine
from streamer.asr.streaming.session import Windows
from streamer.audio.decode import decode
from streamer.events.keywords import Found, KeywordGraph, KeywordSpotter
from streamer.hub import resolve
from streamer.packets import Samples
from streamer.tts.hibari import HibariVoice

RATE = 16000
PHRASES = (
    "hey streamer",
    "computer",
    "turn on the light",
    "stop the music",
    "good morning",
    "call for help",
    "what is the weather",
    "open the window",
)
CARRIERS = ("{}.", "And then he said, {}, and went away.", "I wonder whether, {}, would do it.")
OTHERS = (
    "The morning was cold and the windows were covered with frost.",
    "She opened the letter with great care and read it twice.",
    "There was no music in the house that evening, only the sound of the rain.",
    "He helped his neighbour to carry the heavy table into the garden.",
    "The weather had been fine for a week, and the roads were dry.",
    "Nobody could remember who had turned the key in the lock.",
    "The stream ran down the hill and into the dark forest.",
    "They stopped at the old inn, where a light was burning.",
    "A good man is seldom in a hurry, said the captain.",
    "We must compute the sum again, for the first answer was wrong.",
    "On the following day the whole company set out for the coast.",
    "It is a truth universally acknowledged that every one likes to be right.",
)
THRESHOLDS = (0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6)


def spoken(voice: HibariVoice, text: str, pitch: float) -> Samples:
    samples = np.concatenate([run.samples for run in voice.speak(text)])
    return soxr.resample(samples, voice.rate * pitch, RATE).astype(np.float32)


def positives(noise: np.random.Generator) -> Iterator[tuple[str, Samples]]:
    for speed in (0.9, 1.0, 1.15):
        voice = HibariVoice("heart", speed)
        for phrase in PHRASES:
            for carrier in CARRIERS:
                for pitch in (0.84, 0.92, 1.0, 1.06, 1.12):
                    samples = spoken(voice, carrier.format(phrase), pitch)
                    samples = np.concatenate([np.zeros(4000, np.float32), samples])
                    level = 0.001
                    if noise.random() < 0.5:
                        level = float(np.sqrt((samples**2).mean()) * 10 ** (-10 / 20))
                    noisy = samples + level * noise.normal(size=len(samples))
                    yield phrase, noisy.astype(np.float32)


def negatives(minutes: float) -> Iterator[Samples]:
    done = 0.0
    while True:
        for speed in (0.85, 0.95, 1.05, 1.15):
            voice = HibariVoice("heart", speed)
            for pitch in (0.84, 0.92, 1.0, 1.08):
                for text in OTHERS:
                    samples = spoken(voice, text, pitch)
                    yield samples
                    done += len(samples) / RATE / 60
                    if done > minutes:
                        return


def posteriors(engine: StreamingEngine, chunk: int, samples: Samples) -> Floats:
    """CTC log-probabilities ``[frames, V]``, made in chunks as in a stream."""
    windows, lease = Windows(engine.info, chunk), engine.acquire()
    windows.accept(samples)
    windows.end()
    rows = []
    while windows.ready:
        encoded = engine.encode([lease], windows.take()[None])
        assert encoded.ctc is not None
        rows.append(encoded.ctc[0])
    engine.release(lease)
    return np.concatenate(rows)


def hear(graph: KeywordGraph, logps: Floats) -> list[Found]:
    spotter = KeywordSpotter(graph)
    return spotter.push(logps) + spotter.finish()


def read(file: Path) -> Samples:
    frames = list(decode(file))
    samples = np.concatenate([frame.samples[:, 0] for frame in frames])
    rate = frames[0].rate
    return samples if rate == RATE else soxr.resample(samples, rate, RATE)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--model", default="conformer-t-en")
    parser.add_argument("--corpus", type=Path, default=os.environ.get("STREAMER_CORPUS"))
    parser.add_argument("--chunk", type=int, default=320, help="ms")
    parser.add_argument("--minutes", type=float, default=30.0, help="of synthetic other speech")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    path = Path(args.model)
    files = path if path.is_dir() else resolve(args.model).files
    engine = load_engine(files, precision="int8")
    chunk = engine.info.chunk_of(args.chunk / 1000)
    graphs = {t: KeywordGraph(engine.info, dict.fromkeys(PHRASES, t)) for t in THRESHOLDS}
    hits = dict.fromkeys(THRESHOLDS, 0)
    wrong: dict[str, dict[float, int]] = {}
    hours: dict[str, float] = {}
    count = 0
    for phrase, samples in positives(np.random.default_rng(5)):
        count += 1
        logps = posteriors(engine, chunk, samples)
        for t, graph in graphs.items():
            hits[t] += any(found.phrase == phrase for found in hear(graph, logps))

    def alarm(name: str, samples: Samples) -> None:
        hours[name] = hours.get(name, 0.0) + len(samples) / RATE / 3600
        table = wrong.setdefault(name, dict.fromkeys(THRESHOLDS, 0))
        logps = posteriors(engine, chunk, samples)
        for t, graph in graphs.items():
            table[t] += len(hear(graph, logps))

    for samples in negatives(args.minutes):
        alarm("synthetic", samples)
    if args.corpus:
        for folder in sorted(Path(args.corpus).glob("*-dev")):
            for file in sorted(p for p in folder.iterdir() if p.suffix in (".flac", ".opus")):
                alarm(folder.name, read(file))
    if args.json:
        print(json.dumps({"spoken": count, "hits": hits, "wrong": wrong, "hours": hours}))
        return
    table = Table("threshold", "found", *(f"{n}: alarms/h ({h:.2f} h)" for n, h in hours.items()))
    for t in THRESHOLDS:
        rates = [f"{wrong[n][t] / hours[n]:.1f}" for n in hours]
        table.add_row(str(t), f"{hits[t] / count:.1%} of {count}", *rates)
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
