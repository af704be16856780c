"""Spoken punctuation and commands."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.captions.dictation import COMMANDS, Dictation


def dictate(*utterances: str) -> list[str]:
    dictation = Dictation()
    lines = [line for said in utterances for line in dictation.add(said)]
    return [*lines, dictation.line]


@pytest.mark.parametrize(
    ("said", "lines"),
    [
        (["Dear Ann, comma. New line.", "I am here full stop"], ["Dear Ann,", "I am here."]),
        (["is it true question mark no comma it is not"], ["Is it true? No, it is not"]),
        (["One. New paragraph. Two."], ["One.\n", "Two."]),
        (["keep this", "lose this", "Scratch that."], ["Keep this"]),
        (["keep this", "lose this scratch that take this"], ["Keep this take this"]),
        (["scratch that", "hello"], ["Hello"]),
        (["one new line two", "scratch that", "scratch that"], ["One", ""]),
        (["write literal comma here"], ["Write comma here"]),
        (["hello.", "comma", "then"], ["Hello, then"]),
        (["the new lines of the column"], ["The new lines of the column"]),
        (["at 9 p.m. and later full stop then home"], ["At 9 p.m. and later. Then home"]),
        ([""], [""]),
    ],
)
def test_commands(said: list[str], lines: list[str]) -> None:
    assert dictate(*said) == lines


def test_a_preview_changes_nothing() -> None:
    dictation = Dictation()
    dictation.add("one")
    assert dictation.preview("two scratch that scratch that full") == "Full"
    assert dictation.line == "One"


@given(st.lists(st.text("abc xyz"), max_size=6))
def test_without_commands_every_word_is_kept_in_order(said: list[str]) -> None:
    wanted = " ".join(" ".join(said).split())
    assert dictate(*said)[-1].lower() == wanted


@given(st.lists(st.sampled_from([*COMMANDS, "literal", "word", "Word.", "..."]), max_size=20))
def test_any_order_of_commands_is_survived(said: list[str]) -> None:
    lines = dictate(" ".join(said), *said)
    assert all("\n" not in line.rstrip("\n") for line in lines)
