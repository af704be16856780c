"""What the words of a turn tell."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.turns.words import completeness, is_backchannel, is_echo, words_of


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("What time is it?", "complete"),
        ("Turn on the light.", "complete"),
        ("Turn it on.", "complete"),
        ("Stop!", "complete"),
        ("Where are you from?", "complete"),
        ("turn on the light", "open"),
        ("turn on the", "incomplete"),
        ("Turn on the.", "incomplete"),
        ("Turn it on", "incomplete"),
        ("I would like to.", "incomplete"),
        ("I think, um...", "incomplete"),
        ("Because", "incomplete"),
        ("First,", "open"),
        ("", "incomplete"),
        ("?!", "incomplete"),
    ],
)
def test_completeness(text: str, expected: str) -> None:
    assert completeness(text) == expected


@pytest.mark.parametrize(
    "text", ["mm-hm", "Mm-hmm.", "Yeah.", "Okay", "OK, great.", "Uh-huh!", "I see.", "Got it."]
)
def test_nods(text: str) -> None:
    assert is_backchannel(text)


@pytest.mark.parametrize(
    "text",
    ["Stop.", "No.", "Wait", "Okay stop", "Yeah but no", "I", "It", "", "okay okay okay okay"],
)
def test_no_nods(text: str) -> None:
    assert not is_backchannel(text)


def test_a_short_word_is_a_nod_unless_it_is_an_order() -> None:
    assert is_backchannel("Mama,", voice=0.3)
    assert not is_backchannel("Mama,", voice=0.7)
    assert not is_backchannel("Stop.", voice=0.2)
    assert not is_backchannel("It had", voice=0.3)


def test_echo() -> None:
    played = "It is half past nine and the sun is shining"
    assert is_echo("the sun is", played)
    assert is_echo("The sun was shining.", played)
    assert not is_echo("what about tomorrow", played)
    assert not is_echo("shining", played)
    assert not is_echo("the sun is", "")
    assert not is_echo("half past nine", played + " today " * 20)


@given(st.text(max_size=80), st.text(max_size=80))
def test_any_text_is_taken(a: str, b: str) -> None:
    assert completeness(a) in ("complete", "open", "incomplete")
    assert not is_echo(a, "")
    assert is_backchannel(a) <= bool(words_of(a))
    assert is_echo(a, b) <= bool(words_of(b))
