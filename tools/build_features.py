#!/usr/bin/env python
"""Turn corpus manifests into feature stores, and train the tokenizer.

    build_features.py STORES CORPUS/librispeech-train ... [--labels labels.tsv] [--keep-empty]
    build_features.py STORES --tokenizer MODEL_DIR --text CORPUS/text [--vocab 500]

Each corpus folder becomes ``STORES/<folder name>``. Run again: only new utterances are added.
"""

from __future__ import annotations

import argparse
import io
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tools.asr_train.store import Store, build_store
from tools.asr_train.text import is_clean, normalise


def train_tokenizer(sentences: list[str], out: Path, vocab: int) -> None:
    """Write ``bpe.model`` and ``tokens.txt`` (blank last, as NeMo and sherpa-onnx have it)."""
    import sentencepiece as spm

    model = io.BytesIO()
    spm.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences),
        model_writer=model,
        model_type="bpe",
        vocab_size=vocab,
        character_coverage=1.0,
        unk_id=0,
        bos_id=-1,
        eos_id=-1,
        pad_id=-1,
        normalization_rule_name="identity",
    )
    out.mkdir(parents=True, exist_ok=True)
    (out / "bpe.model").write_bytes(model.getvalue())
    processor = spm.SentencePieceProcessor(model_proto=model.getvalue())
    pieces = [processor.id_to_piece(i) for i in range(processor.get_piece_size())]
    lines = [f"{piece} {i}" for i, piece in enumerate([*pieces, "<blk>"])]
    (out / "tokens.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("stores", type=Path)
    parser.add_argument("corpora", type=Path, nargs="*")
    parser.add_argument("--labels", type=Path, help="utt_id<TAB>text for untranscribed audio")
    parser.add_argument("--keep-empty", action="store_true", help="for noise recordings")
    parser.add_argument("--tokenizer", type=Path, help="train a BPE model into this folder")
    parser.add_argument("--text", type=Path, help="folder with .txt files for the tokenizer")
    parser.add_argument("--vocab", type=int, default=500)
    args = parser.parse_args()
    labels: dict[str, str] = {}
    if args.labels:
        for line in args.labels.read_text(encoding="utf-8").splitlines():
            utt_id, _, text = line.partition("\t")
            labels[utt_id] = text
    for corpus in args.corpora:
        out = args.stores / corpus.name
        count = build_store(corpus / "manifest.tsv", out, labels, args.keep_empty)
        print(f"{corpus.name}: {count} utterances, {Store.open(out).hours:.2f} h", flush=True)
    if args.tokenizer:
        sentences = [t for s in sorted(args.stores.glob("*")) for t in Store.open(s).texts if t]
        for path in sorted(args.text.glob("*.txt")) if args.text else []:
            lines = path.read_text(encoding="utf-8").splitlines()
            sentences += [normalise(line) for line in lines if is_clean(line)]
        train_tokenizer(sentences, args.tokenizer, args.vocab)
        print(f"tokenizer: {args.vocab} pieces from {len(sentences)} sentences")


if __name__ == "__main__":
    main()
