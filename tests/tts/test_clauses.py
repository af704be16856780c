from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.tts.clauses import LONGEST, ClauseCutter


def cut(text: str) -> list[str]:
    cutter = ClauseCutter()
    return cutter.push(text) + cutter.flush()


@pytest.mark.parametrize(
    ("text", "clauses"),
    [
        ("It is late. Go home.", ["It is late.", " Go home."]),
        ("Ask Dr. Smith at 10 a.m. on Monday.", ["Ask Dr. Smith at 10 a.m. on Monday."]),
        ("J. K. Rowling wrote it. Yes.", ["J. K. Rowling wrote it.", " Yes."]),
        ("It costs 3.14 or 1,000.50 in all.", ["It costs 3.14 or 1,000.50 in all."]),
        ("See https://a.example/b.c?d now. Done!", ["See https://a.example/b.c?d now.", " Done!"]),
        ("Really?! “Yes.” He left.", ["Really?!", " “Yes.”", " He left."]),
        ("1. Apples\n2. Pears\n", ["1. Apples\n", "2. Pears\n"]),
        ("Well, no.", ["Well, no."]),
        ("In the end, he came.", ["In the end,", " he came."]),
        ("Go on then. Well, I said to him, no.", ["Go on then.", " Well, I said to him, no."]),
        ("wait... and then", ["wait... and then"]),
    ],
)
def test_where_clauses_end(text: str, clauses: list[str]) -> None:
    assert cut(text) == clauses


def test_a_clause_is_out_before_the_next_is_written() -> None:
    cutter = ClauseCutter()
    assert cutter.push("It is late.") == []  # "late.5" or "late.com" may follow
    assert cutter.push(" G") == ["It is late."]
    assert cutter.flush() == [" G"]


def test_endless_text_without_punctuation_is_cut_at_spaces() -> None:
    clauses = cut("word " * 300)
    assert max(map(len, clauses)) <= LONGEST + 40
    assert all(c.endswith(" ") for c in clauses)
    assert max(map(len, cut("x" * 1000))) <= LONGEST + 40


PIECES = st.text(alphabet="abI .,!?\n1\"—'…", max_size=30) | st.sampled_from(
    ["Mr. ", "e.g. ", "3.14", " and so on, ", "https://a.b/c ", "\n- ", "z" * 100]
)


@given(st.lists(PIECES, max_size=40))
def test_the_pieces_do_not_matter_and_nothing_is_lost(pieces: list[str]) -> None:
    text = "".join(pieces)
    whole = cut(text)
    assert "".join(whole) == text
    cutter, by_piece = ClauseCutter(), []
    for piece in pieces:
        by_piece += cutter.push(piece)
    assert by_piece + cutter.flush() == whole
    letters, by_letter = ClauseCutter(), []
    for letter in text:
        by_letter += letters.push(letter)
    assert by_letter + letters.flush() == whole
