#!/usr/bin/env python
"""Label untranscribed audio with the final-pass model, for training the streaming one.

    label_corpus.py CORPUS/librispeech-train-untranscribed labels.tsv [--least 0.9]

Writes ``utt_id<TAB>text`` lines; run again to go on. Give the file to
``build_features.py --labels``. An utterance is left out when the mean probability of its
tokens is low, when it holds digits (they may be said in several ways) or when it is empty.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from streamer.asr.moonshine import Moonshine  # noqa: E402
from tools.asr_train.store import read_audio, read_manifest  # noqa: E402


def open_model(folder: Path | None) -> Moonshine:
    """The model in ``folder``, or the one inside the ``moonshine-cpp`` wheel."""
    if folder is None:
        import importlib.util

        spec = importlib.util.find_spec("moonshine_cpp")
        if spec is None or spec.origin is None:
            raise SystemExit("install moonshine-cpp, or name the model's folder with --model")
        folder = Path(spec.origin).parent / "models" / "base-en"
    return Moonshine(
        folder / "encoder_model.ort", folder / "decoder_model_merged.ort", folder / "tokenizer.bin"
    )


def speech_part(audio: NDArray[np.float32]) -> NDArray[np.float32]:
    """Without the silence around it: with seconds of it in front, Moonshine often says nothing."""
    power = (audio[: audio.size // 320 * 320].reshape(-1, 320) ** 2).mean(axis=1)
    if power.size == 0:
        return audio
    loud = np.flatnonzero(power > max(power.max() * 1e-3, np.percentile(power, 20) * 4))
    if loud.size == 0:
        return audio
    return audio[max(int(loud[0]) * 320 - 3200, 0) : int(loud[-1]) * 320 + 6400]


def acceptable(text: str, probabilities: tuple[float, ...], least: float) -> bool:
    """True when a label may be trained on."""
    if not text.strip() or any(c.isdigit() for c in text) or not probabilities:
        return False
    return sum(probabilities) / len(probabilities) >= least


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("corpus", type=Path, help="folder with manifest.tsv")
    parser.add_argument("labels", type=Path)
    parser.add_argument("--model", type=Path, help="folder with the three model files")
    parser.add_argument("--least", type=float, default=0.85, help="mean token probability")
    args = parser.parse_args()
    model = open_model(args.model)
    known: set[str] = set()
    if args.labels.exists():
        lines = args.labels.read_text(encoding="utf-8").splitlines()
        known = {line.split("\t")[0] for line in lines}
    began, seconds, kept, count = time.monotonic(), 0.0, 0, 0
    with args.labels.open("a", encoding="utf-8") as sink:
        for utterance in read_manifest(args.corpus / "manifest.tsv"):
            if utterance.text or utterance.utt_id in known:
                continue
            decoded = model.decode(speech_part(read_audio(utterance.path)))
            text = model.tokenizer.decode(decoded.tokens)
            good = acceptable(text, decoded.probabilities, args.least)
            sink.write(f"{utterance.utt_id}\t{text if good else ''}\n")
            sink.flush()
            kept, count, seconds = kept + good, count + 1, seconds + utterance.duration
            if count % 50 == 0:
                speed = seconds / (time.monotonic() - began)
                print(f"{count} utterances, {kept} kept, {speed:.1f}x real time", flush=True)
    print(f"{args.labels}: {kept} of {count} new utterances labelled")


if __name__ == "__main__":
    main()
