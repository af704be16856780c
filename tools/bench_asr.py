#!/usr/bin/env python
"""Speed of the streaming recogniser, beside sherpa-onnx with the same exported model, in one run.

    bench_asr.py MODEL_FOLDER MANIFEST.tsv... [--chunk 640] [--threads 2] [--streams 32] [--json F]

Real-time factor of one stream; throughput of many streams at once; int8 against fp32; what each
search costs; memory of a session's state; computing time of a window; time from the end of an
utterance's first word to its first partial. All have the same threads: one stream has them within
its operators, many streams as batches side by side (``workers`` of ``asr.transducer``), sherpa-onnx
as ``num_threads``. The machine should be idle: the load average is printed with the results.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from streamer.asr.interop import load_engine
from streamer.asr.interop.load import Precision
from streamer.asr.streaming import Decoder, EndpointRules
from streamer.asr.streaming.search import SearchName, SearchSpec, build_search
from streamer.audio.decode import decode
from streamer.audio.resample import Resampler

Audio = NDArray[np.float32]
NO_ENDPOINT = EndpointRules(None, None, None)
ROUNDS = 3
WORDS = Path(__file__).parent / "data" / "librispeech-other-dev-words.tsv"


def read(manifests: Sequence[Path], seconds: float) -> dict[str, Audio]:
    """Utterances of the manifests by name, up to ``seconds`` in all."""
    audio: dict[str, Audio] = {}
    for manifest in manifests:
        with manifest.open(encoding="utf-8", newline="") as lines:
            for row in csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE):
                if sum(a.size for a in audio.values()) > seconds * 16000:
                    return audio
                audio[row["utt_id"]] = load(manifest.parent / row["path"])
    return audio


def load(path: Path) -> Audio:
    """Mono samples at 16 kHz."""
    resampler = Resampler(16000)
    frames = [out for frame in decode(path, chunk=1.0) for out in resampler.process(frame)]
    return np.concatenate([frame.samples[:, 0] for frame in [*frames, *resampler.flush()]])


def ours(decoder: Decoder, batch: int, workers: int = 1) -> Callable[[Sequence[Audio]], list[str]]:
    """Whole utterances, ``batch`` at a time in all, in ``workers`` batches side by side."""

    def some(audio: Sequence[Audio]) -> list[str]:
        said = decoder.transcribe(audio, batch // workers)
        return [" ".join(t.text for t in one) for one in said]

    def run(audio: Sequence[Audio]) -> list[str]:
        with ThreadPoolExecutor(workers) as pool:
            parts = pool.map(some, [audio[first::workers] for first in range(workers)])
            texts = [""] * len(audio)
            for first, part in enumerate(parts):
                texts[first::workers] = part
            return texts

    return run


def sherpa(folder: Path, precision: str, threads: int, batch: int) -> Callable[..., list[str]]:
    """The same by sherpa-onnx: greedy, its own window handling, 0.8 s of silence at the end."""
    import sherpa_onnx

    suffix = ".int8.onnx" if precision == "int8" else ".onnx"
    recogniser = sherpa_onnx.OnlineRecognizer.from_transducer(
        str(folder / "tokens.txt"),
        *(str(folder / (part + suffix)) for part in ("encoder", "decoder", "joiner")),
        num_threads=threads,
    )

    def run(audio: Sequence[Audio]) -> list[str]:
        texts = []
        for begin in range(0, len(audio), batch):
            streams = []
            for samples in audio[begin : begin + batch]:
                stream = recogniser.create_stream()
                stream.accept_waveform(16000, samples)
                stream.accept_waveform(16000, np.zeros(12800, np.float32))
                stream.input_finished()
                streams.append(stream)
            while ready := [s for s in streams if recogniser.is_ready(s)]:
                recogniser.decode_streams(ready)
            texts += [recogniser.get_result(s) for s in streams]
        return texts

    return run


def seconds_of(run: Callable[[Sequence[Audio]], list[str]], audio: Sequence[Audio]) -> float:
    begin = time.perf_counter()
    run(audio)
    return time.perf_counter() - begin


def partial_latency(decoder: Decoder, audio: Sequence[Audio]) -> NDArray[np.float64]:
    """Milliseconds from a window being ready to what it says, one stream."""
    took = []
    for samples in audio:
        stream = decoder.open()
        stream.windows.accept(samples)
        while stream.windows.ready:
            begin = time.perf_counter()
            decoder.step([stream])
            took.append(1000 * (time.perf_counter() - begin))
        stream.close()
    return np.array(took[1:])  # the first computes all features of its recording


def first_partials(
    decoder: Decoder, utterances: dict[str, Audio], ends: dict[str, float]
) -> list[float]:
    """Milliseconds from the end of each utterance's first word to its first partial.

    Audio comes in frames of 20 ms as if it were spoken now; computing time counts.
    """
    found = []
    for name in utterances.keys() & ends.keys():
        stream, samples = decoder.open(), utterances[name]
        for at in range(0, samples.size, 320):
            stream.windows.accept(samples[at : at + 320])
            begin = time.perf_counter()
            said = decoder.step([stream])[0] if stream.windows.ready else []
            if said:
                heard = (at + 320) / 16000 + time.perf_counter() - begin
                found.append(1000 * (heard - ends[name]))
                break
        stream.close()
    return found


def first_word_ends(path: Path) -> dict[str, float]:
    """Where the first word of each utterance ends (s), from a table of aligned words."""
    with path.open(encoding="utf-8", newline="") as lines:
        rows = csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
        return {r["utt_id"]: float(r["end"]) for r in rows if r["index"] == "0" and r["end"]}


def measure(args: argparse.Namespace, utterances: dict[str, Audio]) -> dict[str, Any]:
    """Every configuration in turn, ``ROUNDS`` times over, so that all see the same machine."""
    audio = list(utterances.values())
    ends = first_word_ends(args.words)
    total = sum(a.size for a in audio) / 16000
    runs: dict[str, Callable[[Sequence[Audio]], list[str]]] = {}
    facts: dict[str, Any] = {}
    precisions: tuple[Precision, ...] = ("fp32", "int8")
    for precision in precisions:
        engine = load_engine(
            args.model, precision=precision, threads=args.threads, slots=args.streams
        )
        many = load_engine(args.model, precision=precision, threads=1, slots=args.streams)
        chunk = engine.info.chunk_of(args.chunk / 1000)
        facts["state_mb"] = engine.pool.slot_bytes / 1e6
        facts[f"encoder_{precision}_mb"] = (
            args.model / f"encoder{'.int8' if precision == 'int8' else ''}.onnx"
        ).stat().st_size / 1e6
        names: tuple[SearchName, ...] = ("greedy", "beam", "ctc", "ctc_beam")
        for name in names if precision == "fp32" else names[:1]:
            spec = SearchSpec(name)
            decoder = Decoder(engine, build_search(engine, spec), chunk, NO_ENDPOINT)
            batched = Decoder(many, build_search(many, spec), chunk, NO_ENDPOINT)
            runs[f"streamer {precision} {name}, 1 stream"] = ours(decoder, 1)
            runs[f"streamer {precision} {name}, {args.streams} streams"] = ours(
                batched, args.streams, args.threads
            )
            if name == "greedy":
                small = Decoder(engine, decoder.search, min(engine.info.chunks), NO_ENDPOINT)
                found = partial_latency(small, audio[:10])
                facts[f"window_{precision}_ms"] = [
                    float(np.percentile(found, q)) for q in (50, 90, 99)
                ]
                for served in engine.info.chunks:
                    soon = Decoder(engine, decoder.search, served, NO_ENDPOINT)
                    if late := first_partials(soon, utterances, ends):
                        ms = round(served * engine.info.frame_seconds * 1000)
                        facts[f"first_partial_{precision}_{ms}ms_chunks"] = [
                            float(np.percentile(late, q)) for q in (50, 90)
                        ]
        if args.sherpa:
            for batch in (1, args.streams):
                label = f"sherpa-onnx {precision} greedy, {batch} stream{'s' * (batch > 1)}"
                runs[label] = sherpa(args.model, precision, args.threads, batch)
    took: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        run(audio[:4])
    for _ in range(ROUNDS):
        for name, run in runs.items():
            took[name].append(seconds_of(run, audio))
    facts["speed"] = {name: total / float(np.median(t)) for name, t in took.items()}
    if args.sherpa:
        one, theirs = (
            runs["streamer fp32 greedy, 1 stream"](audio),
            runs["sherpa-onnx fp32 greedy, 1 stream"](audio),
        )
        same = sum(a.strip() == b.strip() for a, b in zip(one, theirs, strict=True))
        facts["same_text_as_sherpa"] = [same, len(audio)]
    facts |= {"audio_s": total, "load_average": os.getloadavg()[0], "threads": args.threads}
    return facts


def show(facts: dict[str, Any], console: Console) -> None:
    """The tables, with ratios within this run."""
    speed: dict[str, float] = facts["speed"]
    peer = speed.get("sherpa-onnx fp32 greedy, 1 stream")
    table = Table("configuration", "x real time", "RTF", "of sherpa-onnx fp32, 1 stream")
    for name, value in speed.items():
        ratio = f"{value / peer:.2f}" if peer else "-"
        table.add_row(name, f"{value:.0f}", f"{1 / value:.4f}", ratio)
    console.print(table)
    for key, value in facts.items():
        if key != "speed":
            console.print(f"{key}: {value}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("manifests", type=Path, nargs="+")
    parser.add_argument("--chunk", type=int, default=640, help="ms; sherpa-onnx uses the file's")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--streams", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=240.0, help="audio to use")
    parser.add_argument("--words", type=Path, default=WORDS, help="aligned words, for latency")
    parser.add_argument("--no-sherpa", dest="sherpa", action="store_false")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    facts = measure(args, read(args.manifests, args.seconds))
    show(facts, Console())
    if args.json:
        args.json.write_text(json.dumps(facts, indent=1))


if __name__ == "__main__":
    main()
