#!/usr/bin/env python
"""Train an n-gram model over the recogniser's tokens: interpolated modified Kneser-Ney.

    train_lm.py TEXT... --tokenizer FOLDER --out lm.npz [--order 6] [--prune 4e-8]

TEXT is plain text, one sentence a line (``.gz`` too), or a manifest.tsv with a ``text`` column.
FOLDER holds bpe.model. ``OUT.npz`` is the packed form the recogniser loads fastest, ``.arpa``
and ``.arpa.gz`` what other programs read. Prints the size of the model and its perplexity on
every five-hundredth sentence, which is kept back; 80 million words take four minutes and 14 GB.
Chen & Goodman 1998 (smoothing), Stolcke 1998 (pruning).
"""

from __future__ import annotations

import argparse
import gzip
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from streamer.asr.streaming.search.ngram_file import Level, write_packed
from tools.asr_train.text import normalise

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass
class Grams:
    """All n-grams of one order, sorted by key; a key is the tokens as digits in base ``base``.

    ``parent`` is the row of the history (without the last token) in the order below, ``suffix``
    that of the n-gram without its first token; both -1 for unigrams.
    """

    keys: Ints
    counts: Ints
    parent: Ints
    suffix: Ints
    prob: Floats
    backoff: Floats

    def __len__(self) -> int:
        return len(self.keys)


def count(sentences: Sequence[Ints], order: int, base: int, begin: int, end: int) -> list[Grams]:
    """n-grams with the counts that Kneser-Ney wants.

    The highest order and n-grams that begin a sentence keep their occurrences; all others count
    the distinct tokens seen before them.
    """
    stream = np.concatenate([np.concatenate([[begin], s, [end]]) for s in sentences])
    starts = stream == begin
    left = np.zeros(len(stream), np.int64)  # tokens since the sentence began
    position = np.arange(len(stream))
    left = position - np.maximum.accumulate(np.where(starts, position, 0))
    levels: list[Grams] = []
    for n in range(1, order + 1):
        at = position[left >= n - 1]
        keys = np.zeros(len(at), np.int64)
        for back in range(n - 1, -1, -1):
            keys = keys * base + stream[at - back]
        unique, counts = np.unique(keys, return_counts=True)
        empty = np.zeros(len(unique))
        levels.append(Grams(unique, counts.astype(np.int64), empty, empty, empty, empty))  # type: ignore[arg-type]
    for n in range(order, 0, -1):
        grams = levels[n - 1]
        if n == 1:
            grams.parent = grams.suffix = np.full(len(grams), -1, np.int64)
            break
        below = levels[n - 2]
        grams.parent = np.searchsorted(below.keys, grams.keys // base)
        grams.suffix = np.searchsorted(below.keys, grams.keys % base ** (n - 1))
        continuation = np.bincount(grams.suffix, minlength=len(below))
        opens = below.keys // base ** (n - 2) == begin
        below.counts = np.where(opens, below.counts, continuation)
    levels[0].counts[levels[0].keys == begin] = 0
    return levels


def discounts(counts: Ints) -> Floats:
    """Discounts for counts of 0, 1, 2, 3 and more (Chen & Goodman, equation 26)."""
    n = [float((counts == k).sum()) for k in range(1, 5)]
    if min(n) == 0:
        return np.array([0.0, 0.5, 0.75, 1.0])
    y = n[0] / (n[0] + 2 * n[1])
    found = [k - (k + 1) * y * n[k] / n[k - 1] for k in range(1, 4)]
    return np.array([0.0, *np.clip(found, 0.01, [0.99, 1.99, 2.99])])


def smooth(levels: list[Grams], vocab: int) -> None:
    """Fill ``prob`` and ``backoff``; ``vocab`` tokens (end of sentence among them) can follow."""
    for grams in levels:
        grams.backoff = np.ones(len(grams))
    for n, grams in enumerate(levels, 1):
        off = discounts(grams.counts)[np.minimum(grams.counts, 3)]
        kept = grams.counts - off
        if n == 1:
            total = float(grams.counts.sum())
            grams.prob = kept / total + off.sum() / total / vocab
            continue
        below = levels[n - 2]
        total_of = np.bincount(grams.parent, grams.counts, len(below))
        mass_of = np.bincount(grams.parent, off, len(below))
        has = total_of > 0
        below.backoff = np.where(has, mass_of / np.where(has, total_of, 1), 1.0)
        grams.prob = (
            kept / total_of[grams.parent] + below.backoff[grams.parent] * below.prob[grams.suffix]
        )


def prune(levels: list[Grams], base: int, threshold: float) -> list[Grams]:
    """Drop n-grams whose loss changes little: weighted by how often their history occurs.

    Back-offs are set anew so that every history's probabilities sum to one.
    """
    history = [np.zeros(0)] * len(levels)
    for n, grams in enumerate(levels):
        if n == 0:
            history[n] = grams.prob.copy()
            history[n][grams.counts == 0] = levels[0].prob[-1]  # a sentence begins as often as ends
        else:
            history[n] = history[n - 1][grams.parent] * grams.prob
    keep_above: NDArray[np.bool_] | None = None
    kept: list[NDArray[np.bool_]] = []
    for n in range(len(levels) - 1, -1, -1):
        grams = levels[n]
        keep = np.ones(len(grams), bool)
        if n:
            below = levels[n - 1]
            other = below.backoff[grams.parent] * below.prob[grams.suffix]
            gain = history[n] * (np.log(grams.prob) - np.log(other))
            keep = gain > threshold
        if keep_above is not None:
            above = levels[n + 1]
            needed = np.zeros(len(grams), bool)
            needed[above.parent[keep_above]] = True
            needed[above.suffix[keep_above]] = True
            keep |= needed
        kept.insert(0, keep)
        keep_above = keep
    out: list[Grams] = []
    renumber = np.zeros(0, np.int64)
    for n, (grams, keep) in enumerate(zip(levels, kept, strict=True)):
        parent = renumber[grams.parent[keep]] if n else grams.parent[keep]
        suffix = renumber[grams.suffix[keep]] if n else grams.suffix[keep]
        out.append(
            Grams(
                grams.keys[keep],
                grams.counts[keep],
                parent,
                suffix,
                grams.prob[keep],
                np.ones(int(keep.sum())),
            )
        )
        renumber = np.cumsum(keep) - 1
        if n:
            below = out[n - 1]
            explicit = np.bincount(parent, out[n].prob, len(below))
            implied = np.bincount(parent, lower(out, n, suffix), len(below))
            below.backoff = np.where(
                explicit > 0, (1 - explicit) / np.maximum(1 - implied, 1e-12), 1.0
            ).clip(1e-9)
    return out


def lower(levels: list[Grams], n: int, suffix: Ints) -> Floats:
    """Probability of each n-gram's suffix, which is always among the kept ones."""
    probs: Floats = levels[n - 1].prob[suffix]
    return probs


def lookup(levels: list[Grams], base: int, history: Sequence[int], token: int) -> float:
    """P(token | history) of the finished model, backing off."""
    weight = 1.0
    for n in range(min(len(history), len(levels) - 1), -1, -1):
        tail = list(history[len(history) - n :])
        key = 0
        for digit in (*tail, token):
            key = key * base + digit
        row = int(np.searchsorted(levels[n].keys, key))
        if row < len(levels[n]) and levels[n].keys[row] == key:
            return weight * float(levels[n].prob[row])
        if n:
            key //= base
            row = int(np.searchsorted(levels[n - 1].keys, key))
            if row < len(levels[n - 1]) and levels[n - 1].keys[row] == key:
                weight *= float(levels[n - 1].backoff[row])
    return weight * 1e-9


def perplexity(levels: list[Grams], sentences: Sequence[Ints], base: int) -> float:
    """Per token, ends of sentences counted."""
    begin, end = base - 2, base - 1
    total, tokens = 0.0, 0
    for sentence in sentences:
        history = [begin]
        for token in (*sentence.tolist(), end):
            total -= np.log(lookup(levels, base, history[-(len(levels) - 1) :], token))
            tokens += 1
            history.append(token)
    return float(np.exp(total / tokens))


def write(levels: list[Grams], path: Path, words: Sequence[str], base: int) -> None:
    """ARPA, gzipped when the name says so; log10, five digits."""
    opener = gzip.open if path.suffix == ".gz" else open
    begin = base - 2
    with opener(path, "wt", encoding="utf-8") as out:
        out.write("\\data\\\n")
        for n, grams in enumerate(levels, 1):
            out.write(f"ngram {n}={len(grams)}\n")
        for n, grams in enumerate(levels, 1):
            out.write(f"\n\\{n}-grams:\n")
            with np.errstate(divide="ignore"):
                logs, backs = np.log10(grams.prob), np.log10(grams.backoff)
            logs = np.where((n == 1) & (grams.keys == begin), -99.0, logs)
            digits = [grams.keys // base**k % base for k in range(n - 1, -1, -1)]
            for row, (log, back) in enumerate(zip(logs, backs, strict=True)):
                text = " ".join(words[d[row]] for d in digits)
                tail = f"\t{back:.5f}" if n < len(levels) and back else ""
                out.write(f"{log:.5f}\t{text}{tail}\n")
        out.write("\n\\end\\\n")


def pack(levels: list[Grams], path: Path, pieces: Sequence[str]) -> None:
    """The form that loads fast; ``pieces`` are the recogniser's tokens, blank among them.

    The keys are counted anew in the base of those tokens, where blank has a digit of its own.
    """
    vocab, base = len(pieces) - 1, len(pieces) + 2
    out: list[Level] = []
    for n, grams in enumerate(levels, 1):
        keys = np.zeros(len(grams), np.int64)
        for k in range(n - 1, -1, -1):
            digit = grams.keys // (vocab + 2) ** k % (vocab + 2)
            keys = keys * base + np.where(digit >= vocab, digit + 1, digit)
        with np.errstate(divide="ignore"):
            logs, backs = np.log10(grams.prob), np.log10(grams.backoff)
        out.append(Level(keys, logs, backs))
    write_packed(path, out, pieces)


def read_sentences(paths: Sequence[Path]) -> Iterator[str]:
    """Normalised sentences of text files and manifests."""
    for path in paths:
        opener = gzip.open if path.suffix == ".gz" else open
        with opener(path, "rt", encoding="utf-8") as lines:
            column = (
                next(lines).rstrip("\n").split("\t").index("text") if path.suffix == ".tsv" else 0
            )
            for line in lines:
                text = normalise(line.rstrip("\n").split("\t")[column])
                if text:
                    yield text


def batched(items: Iterable[str], size: int) -> Iterator[list[str]]:
    """Lists of ``size``; the last may be shorter."""
    left = iter(items)
    while batch := list(islice(left, size)):
        yield batch


def train(
    sentences: Sequence[Ints], vocab: int, order: int, threshold: float
) -> tuple[list[Grams], int]:
    """The model of token sequences over ids below ``vocab``, and the base of its keys."""
    base = vocab + 2
    levels = count(sentences, order, base, vocab, vocab + 1)
    smooth(levels, vocab=len(levels[0]) - 1)
    return prune(levels, base, threshold), base


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("text", type=Path, nargs="+")
    parser.add_argument("--tokenizer", type=Path, required=True, help="folder with bpe.model")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--order", type=int, default=4)
    parser.add_argument("--prune", type=float, default=1e-7)
    args = parser.parse_args()
    import sentencepiece

    pieces = sentencepiece.SentencePieceProcessor(str(args.tokenizer / "bpe.model"))
    kept, held = [], []
    for batch in batched(read_sentences(args.text), 50_000):
        coded = [np.array(ids, np.int16) for ids in pieces.encode(batch)]
        held += coded[::500]
        kept += [sentence for i, sentence in enumerate(coded) if i % 500]
    vocab = pieces.get_piece_size()
    levels, base = train(kept, vocab, args.order, args.prune)
    words = [*(pieces.id_to_piece(i) for i in range(vocab)), "<s>", "</s>"]
    if args.out.suffix == ".npz":
        pack(levels, args.out, [*words[:vocab], "<blk>"])
    else:
        write(levels, args.out, words, base)
    sizes = ", ".join(f"{len(grams):,} {n}-grams" for n, grams in enumerate(levels, 1))
    print(f"{args.out}: {sizes}, {args.out.stat().st_size / 1e6:.1f} MB")
    found = perplexity(levels, held, base)
    print(f"perplexity per token on {len(held)} held-out sentences: {found:.1f}")


if __name__ == "__main__":
    main()
