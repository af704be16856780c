#!/usr/bin/env python
"""Word and character error rates with bootstrap intervals, by slice.

    evaluate.py CORPUS/librispeech-other-dev/manifest.tsv ... --model run/checkpoint.pt
        --chunk 160,320,640,1280 --search greedy,ctc [--json out.json] [--plot out.png]

Slices: corpus, accent, estimated signal-to-noise ratio, and speakers when asked for. Every
interval is the 95 % bootstrap over utterances; the development sets are small, so read them.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tools.asr_train.scoring import Score, score
from tools.asr_train.store import Utterance, read_audio, read_manifest
from tools.asr_train.text import normalise

Runner = Callable[[Sequence[Utterance], int, str], list[str]]
ACCENTS = {
    "speechocean762": "Mandarin-accented English",
    "librispeech": "read English",
    "librivox": "read English",
}


@dataclass(frozen=True, slots=True)
class Result:
    """One row of the table."""

    slice: str
    value: str
    utterances: int
    chunk_ms: int
    search: str
    wer: Score
    cer: Score


def make_runner(model: str, tokenizer: Path | None, precision: Literal["fp32", "int8"]) -> Runner:
    """The one place that knows how a model is run; give it a checkpoint or a model folder."""
    path = Path(model)
    if (path / "tokens.txt").exists() and list(path.glob("encoder*.onnx")):
        from tools.onnx_runner import OnnxRunner

        return OnnxRunner(path, precision)
    if path.suffix == ".pt" or (path / "checkpoint.pt").exists():
        from tools.asr_train.torch_runner import TorchRunner

        file = path if path.suffix == ".pt" else path / "checkpoint.pt"
        return TorchRunner(file, tokenizer or file.parent / "bpe.model")
    raise SystemExit(f"{model} is neither a checkpoint (.pt) nor the folder of a model")


def signal_to_noise(audio: np.ndarray) -> float:
    """Rough SNR in dB: loud frames against the quietest tenth (25 ms frames)."""
    frames = audio[: audio.size // 400 * 400].reshape(-1, 400)
    power = np.sort((frames**2).mean(axis=1)) + 1e-10
    tenth = max(len(power) // 10, 1)
    return float(10 * np.log10(power[len(power) // 2 :].mean() / power[:tenth].mean()))


def slices_of(utterance: Utterance, snr: bool, speakers: bool) -> list[tuple[str, str]]:
    """Which slices an utterance counts in."""
    corpus = utterance.path.parent.name if utterance.path.parent.name else "-"
    for parent in utterance.path.parents:
        if (parent / "manifest.tsv").exists():
            corpus = parent.name
            break
    accent = next((v for k, v in ACCENTS.items() if corpus.startswith(k)), "synthetic")
    out = [("corpus", corpus), ("accent", accent)]
    if snr:
        value = signal_to_noise(read_audio(utterance.path))
        out.append(
            ("SNR", "below 20 dB" if value < 20 else "20-35 dB" if value < 35 else "above 35 dB")
        )
    if speakers:
        out.append(("speaker", utterance.speaker))
    return out


def evaluate(
    runner: Runner,
    utterances: list[Utterance],
    chunks: list[int],
    searches: list[str],
    snr: bool,
    speakers: bool,
) -> tuple[list[Result], dict[str, dict[str, str]]]:
    """All rows, and the texts per setting."""
    members: dict[tuple[str, str], list[int]] = {}
    for i, utterance in enumerate(utterances):
        for key in slices_of(utterance, snr, speakers):
            members.setdefault(key, []).append(i)
    references = [normalise(u.text) for u in utterances]
    results, texts = [], {}
    for search in searches:
        for chunk in chunks:
            found = [normalise(t) for t in runner(utterances, chunk, search)]
            texts[f"{search}-{chunk}"] = {
                u.utt_id: t for u, t in zip(utterances, found, strict=True)
            }
            for (kind, value), which in members.items():
                ref, hyp = [references[i] for i in which], [found[i] for i in which]
                wer = score([r.split() for r in ref], [h.split() for h in hyp])
                cer = score([list(r) for r in ref], [list(h) for h in hyp])
                results.append(Result(kind, value, len(which), chunk, search, wer, cer))
    return results, texts


def show(results: list[Result], console: Console) -> None:
    """The table."""
    table = Table("slice", "value", "utt.", "chunk ms", "search", "WER % [95 %]", "CER % [95 %]")
    for r in sorted(results, key=lambda r: (r.slice, r.value, r.search, r.chunk_ms)):
        table.add_row(
            r.slice, r.value, str(r.utterances), str(r.chunk_ms), r.search, str(r.wer), str(r.cer)
        )
    console.print(table)


def plot(results: list[Result], out: Path) -> None:
    """WER with intervals over the chunk size, one line per corpus and search."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axis = plt.subplots(figsize=(7, 4.5), layout="constrained")
    rows = [r for r in results if r.slice == "corpus"]
    for corpus, search in sorted({(r.value, r.search) for r in rows}):
        mine = sorted(
            (r for r in rows if (r.value, r.search) == (corpus, search)), key=lambda r: r.chunk_ms
        )
        rate = np.asarray([r.wer.rate for r in mine])
        error = np.asarray([[r.wer.rate - r.wer.low, r.wer.high - r.wer.rate] for r in mine]).T
        axis.errorbar(
            [r.chunk_ms for r in mine],
            rate,
            error,
            marker="o",
            capsize=3,
            label=f"{corpus} {search}",
        )
    axis.set_xscale("log", base=2)
    axis.set_xticks(
        sorted({r.chunk_ms for r in rows}), [str(c) for c in sorted({r.chunk_ms for r in rows})]
    )
    axis.set(xlabel="chunk (ms)", ylabel="WER (%), 95 % bootstrap", ylim=(0, None))
    axis.legend(fontsize=8)
    figure.savefig(out, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("manifests", type=Path, nargs="+")
    parser.add_argument("--model", required=True, help="checkpoint or model folder")
    parser.add_argument(
        "--tokenizer", type=Path, help="bpe.model, when it is not beside the checkpoint"
    )
    parser.add_argument("--chunk", default="640", help="milliseconds, several with commas")
    parser.add_argument(
        "--search",
        default="greedy",
        help="greedy, ctc; for folders also beam, ctc_beam, beam+lm, ctc_beam+lm; commas between",
    )
    parser.add_argument("--precision", choices=["fp32", "int8"], default="fp32", help="of a folder")
    parser.add_argument("--limit", type=int, help="only the first utterances of each manifest")
    parser.add_argument(
        "--snr", action="store_true", help="slice by estimated signal-to-noise ratio"
    )
    parser.add_argument("--speakers", action="store_true", help="slice by speaker")
    parser.add_argument("--json", type=Path, help="write results and texts")
    parser.add_argument("--plot", type=Path, help="write a picture")
    args = parser.parse_args()
    utterances: list[Utterance] = []
    for manifest in args.manifests:
        file = manifest / "manifest.tsv" if manifest.is_dir() else manifest
        utterances += [u for u in read_manifest(file) if normalise(u.text)][: args.limit]
    chunks = [int(c) for c in args.chunk.split(",")]
    began = time.monotonic()
    runner = make_runner(args.model, args.tokenizer, args.precision)
    results, texts = evaluate(
        runner, utterances, chunks, args.search.split(","), args.snr, args.speakers
    )
    console = Console()
    show(results, console)
    hours = sum(u.duration for u in utterances) / 3600
    console.print(f"{len(utterances)} utterances, {hours:.2f} h, {time.monotonic() - began:.0f} s")
    if args.json:
        args.json.write_text(
            json.dumps({"results": [asdict(r) for r in results], "texts": texts}, indent=1)
        )
    if args.plot:
        plot(results, args.plot)


if __name__ == "__main__":
    main()
