#!/usr/bin/env python
"""Add Moonshine's view of every utterance to feature stores, for training by imitation.

    build_teacher.py ENCODER_ORT STORES/librispeech-train CORPUS/librispeech-train ...

Pairs of a store and the folder with its manifest. Writes ``teacher.f16`` and ``teacher.tsv``
into the store; run again, and only what is missing is added. 42 KB a second of speech.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tools.asr_train.moonshine import Teacher
from tools.asr_train.store import TEACHER_WIDTH, Store, read_audio, read_manifest


def build(teacher: Teacher, folder: Path, corpus: Path) -> int:
    """Add what is missing; returns how many utterances have targets now."""
    store = Store.open(folder)
    index, data = folder / "teacher.tsv", folder / "teacher.f16"
    known: set[str] = set()
    position = 0
    if index.exists():
        for line in index.read_text(encoding="utf-8").splitlines():
            utt_id, start, frames = line.split("\t")
            known.add(utt_id)
            position = int(start) + int(frames)
    rows = dict(zip(store.ids, store.rows, strict=True))
    with data.open("ab") as out, index.open("a", encoding="utf-8") as table:
        out.truncate(position * TEACHER_WIDTH * 2)
        for utt in read_manifest(corpus / "manifest.tsv"):
            frames = (int(rows.get(utt.utt_id, 0)) - 7) // 8 * 2
            if utt.utt_id in known or frames < 1:
                continue
            samples = read_audio(utt.path)
            if len(samples) < 16_000:
                samples = np.pad(samples, (0, 16_000 - len(samples)))
            out.write(teacher.targets(samples, frames).astype(np.float16).tobytes())
            out.flush()
            table.write(f"{utt.utt_id}\t{position}\t{frames}\n")
            table.flush()
            position += frames
            known.add(utt.utt_id)
    return len(known)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("encoder", type=Path, help="encoder_model.ort of Moonshine base")
    parser.add_argument("pairs", type=Path, nargs="+", help="STORE CORPUS STORE CORPUS ...")
    args = parser.parse_args()
    teacher = Teacher(args.encoder)
    for folder, corpus in zip(args.pairs[::2], args.pairs[1::2], strict=True):
        print(f"{folder.name}: {build(teacher, folder, corpus)} utterances", flush=True)


if __name__ == "__main__":
    main()
