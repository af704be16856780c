from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.dialogue.patterns import Pattern, normalise


@pytest.mark.parametrize(
    ("pattern", "sentence", "slots"),
    [
        ("what time is it", "What time is it?", {}),
        ("what's the time", "What’s the time", {}),
        ("(turn|switch) {state:on|off} [the] {room} (light|lamp)", "Turn on the big kitchen light.",
         {"state": "on", "room": "big kitchen"}),
        ("(turn|switch) {state:on|off} [the] {room} (light|lamp)", "switch off bedroom lamp",
         {"state": "off", "room": "bedroom"}),
        ("set a timer for {n:number} minutes", "Set a timer for twenty five minutes.", {"n": "25"}),
        ("set a timer for {n:number} minutes", "set a timer for 5 minutes", {"n": "5"}),
        ("remind me at {when}", "Remind me at 7:30.", {"when": "7:30"}),
        ("play {what:jazz|classical music}", "play classical music", {"what": "classical music"}),
        ("good (morning|evening)", "Good evening!", {}),
        ("what is the weather", "What is the weater?", {}),
    ],
)  # fmt: skip
def test_fits(pattern: str, sentence: str, slots: dict[str, str]) -> None:
    found = Pattern(pattern).match(normalise(sentence))
    assert found is not None and dict(found.slots) == slots


@pytest.mark.parametrize(
    ("pattern", "sentence"),
    [
        ("turn {state:on|off} the light", "turn dim the light"),
        ("what time is it", "what time is it now"),
        ("what time is it", "what time"),
        ("set {n:number} minutes", "set many minutes"),
        ("play {x}", "play one two three four five"),
        ("play {x}", "play"),
        ("what is the weather", "what is the leather"[:-2]),
        ("turn on", "turn in"),  # short words must be right
        ("kitchen window", "kitchin windaw"),  # one error, not two
    ],
)
def test_does_not_fit(pattern: str, sentence: str) -> None:
    assert Pattern(pattern).match(normalise(sentence)) is None


@pytest.mark.parametrize(
    ("pattern", "what"),
    [
        ("turn (on", "'\\)' is missing"),
        ("turn on]", "'\\]' was not opened"),
        ("turn {on", "brace that is not closed"),
        ("turn {}", "is no slot"),
        ("{a} and {a}", "twice"),
        ("", "needs a word"),
        ("?!", "needs a word"),
    ],
)
def test_a_wrong_pattern_says_what_is_wrong(pattern: str, what: str) -> None:
    with pytest.raises(ValueError, match=what):
        Pattern(pattern)


def test_fewest_free_words_win() -> None:
    found = Pattern("{a} the [big] {b}").match(normalise("call the big man"))
    assert found is not None and dict(found.slots) == {"a": "call", "b": "man"}


@given(st.text(max_size=60), st.text(max_size=60))
def test_any_text_is_a_pattern_or_an_error_and_any_sentence_can_be_tried(p: str, s: str) -> None:
    try:
        pattern = Pattern(p)
    except ValueError:
        return
    pattern.match(normalise(s))
    plain = normalise(p)
    if plain and not set("[](){}|") & set(p):
        assert pattern.match(plain) is not None
