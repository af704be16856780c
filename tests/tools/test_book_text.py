"""Books become sentences, and a book that holds a test set is left out."""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

import pytest

from tools.book_text import main, read_runs, sentences

BOOK = """Title: A Book
Language: English
*** START OF THE PROJECT GUTENBERG EBOOK A BOOK ***
CHAPTER THE FIRST

Mr. Bennet was so odd a mixture of quick parts; sarcastic humour, reserve,
and caprice. It was in 1812. "What is his name?" said she.

*** END OF THE PROJECT GUTENBERG EBOOK A BOOK ***
Licence text that nobody speaks.
"""
TEI = """<?xml version="1.0"?><TEI><teiHeader><p>About the file.</p></teiHeader>
<text><p>She said &amp; did nothing at all.</p><p>Then he went away.</p></text></TEI>"""


def test_sentences_without_licence_digits_and_headings() -> None:
    assert list(sentences(BOOK)) == [
        "mister bennet was so odd a mixture of quick parts",
        "sarcastic humour reserve and caprice",
        "what is his name",
        "said she",
    ]


def test_tei_loses_its_header_and_tags() -> None:
    assert list(sentences(TEI)) == ["she said did nothing at all", "then he went away"]


@pytest.mark.parametrize(
    ("spoken", "kept"),
    [
        ("WHAT IS HIS NAME SAID SHE", True),  # too short for two shared runs
        ("MISTER BENNET WAS SO ODD A MIXTURE OF QUICK PARTS", False),
    ],
)
def test_a_book_with_the_words_of_a_test_set_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoken: str, kept: bool
) -> None:
    (tmp_path / "books").mkdir()
    (tmp_path / "books" / "a.txt").write_text(BOOK)
    (tmp_path / "books" / "b.txt").write_text("Language: French\n\nIl ne dit rien du tout.")
    manifest = tmp_path / "manifest.tsv"
    manifest.write_text(f"utt_id\tpath\tduration_s\tspeaker\ttext\n1\ta.flac\t3\ts\t{spoken}\n")
    assert len(read_runs([manifest])) == max(len(spoken.split()) - 5, 0)
    out = tmp_path / "out.txt.gz"
    arguments = [str(out), str(tmp_path / "books"), "--without", str(manifest)]
    monkeypatch.setattr(sys, "argv", ["book_text.py", *arguments])
    main()
    with gzip.open(out, "rt") as lines:
        assert len(lines.readlines()) == (4 if kept else 0)
