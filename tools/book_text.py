#!/usr/bin/env python
"""Turn books (plain text, or TEI XML) into sentences for the language model.

    book_text.py OUT.txt.gz FOLDER... [--without CORPUS/librispeech-other-dev/manifest.tsv]

One normalised sentence a line. A book is left out whole when it shares two or more runs of six
words with a manifest of ``--without``: a model that has read the test set proves nothing.
Sentences that hold digits, or that have come before, are left out too.
"""

from __future__ import annotations

import argparse
import gzip
import html
import re
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tools.asr_train.text import normalise

RUN = 6
SHARED_RUNS = 2
_BEGIN = re.compile(r"\*\*\* ?START OF.*?\*\*\*", re.DOTALL)
_END = re.compile(r"\*\*\* ?END OF|End of (the )?Project Gutenberg")
_PARAGRAPH = re.compile(r"\n\s*\n")
_SENTENCE = re.compile(r"(?<=[.!?;:])[\"'\u201d\u2019)\]]*\s+")
_TITLE = re.compile(r"\b(Mr|Mrs|Dr|St)\.")


def body(text: str) -> str:
    """The book without licence and mark-up."""
    if text.lstrip("\ufeff").startswith("<?xml") or "<TEI" in text[:500]:
        _, _, text = text.partition("</teiHeader>")
        return html.unescape(re.sub(r"<[^>]+>", " ", re.sub(r"</(p|head|l)>", "\n\n", text)))
    begin = _BEGIN.search(text)
    end = _END.search(text, begin.end() if begin else 0)
    return text[begin.end() if begin else 0 : end.start() if end else len(text)]


def sentences(text: str) -> Iterator[str]:
    """Normalised, of two words at least; none with digits or in capitals throughout."""
    for paragraph in _PARAGRAPH.split(_TITLE.sub(r"\1", body(text))):
        for sentence in _SENTENCE.split(" ".join(paragraph.split())):
            if any(c.isdigit() for c in sentence) or sentence.isupper():
                continue
            words = normalise(sentence)
            if " " in words:
                yield words


def runs(text: str) -> set[str]:
    words = text.split()
    return {" ".join(words[i : i + RUN]) for i in range(len(words) - RUN + 1)}


def read_runs(manifests: list[Path]) -> set[str]:
    """All runs of six words in the manifests' texts."""
    found: set[str] = set()
    for path in manifests:
        head, *rows = path.read_text(encoding="utf-8").splitlines()
        column = head.split("\t").index("text")
        for row in rows:
            found |= runs(normalise(row.split("\t")[column]))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--without", type=Path, action="append", default=[])
    args = parser.parse_args()
    forbidden = read_runs(args.without)
    seen: set[int] = set()
    books = words = 0
    with gzip.open(args.out, "wt", encoding="utf-8", compresslevel=3) as out:
        for folder in args.folders:
            for path in sorted(p for p in folder.rglob("*") if p.suffix in (".txt", ".xml")):
                text = path.read_bytes().decode("utf-8", "replace")
                if "Language: " in text[:2000] and "Language: English" not in text[:2000]:
                    continue
                lines = list(sentences(text))
                shared = forbidden & runs(" ".join(lines)) if forbidden else set()
                if len(shared) >= SHARED_RUNS:
                    print(f"left out {path.name}: {len(shared)} runs, {min(shared)!r}", flush=True)
                    continue
                fresh = [line for line in lines if hash(line) not in seen]
                seen.update(map(hash, fresh))
                out.writelines(f"{line}\n" for line in fresh)
                books += 1
                words += sum(line.count(" ") + 1 for line in fresh)
    print(f"{books} books, {words / 1e6:.1f} million words")


if __name__ == "__main__":
    main()
