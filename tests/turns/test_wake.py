"""Which turns are meant for the assistant, and what they ask."""

from __future__ import annotations

import pytest

from streamer.packets import AudioEvent, UserTurn
from streamer.turns.wake import Wakes, without_phrase


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("Hey computer, what time is it?", "What time is it?"),
        ("Hey, Computer! What time is it?", "What time is it?"),
        ("Hey come pewter, what time is it?", "What time is it?"),
        ("So, um, hey computer turn on the light.", "Turn on the light."),
        ("Hey computer.", ""),
        ("What time is it?", "What time is it?"),
        ("", ""),
    ],
)
def test_the_wake_word_is_taken_out(text: str, rest: str) -> None:
    assert without_phrase(text, "hey computer") == rest


def wake(start: float, end: float) -> AudioEvent:
    return AudioEvent("keyword", "hey computer", "instant", start, end, 0.9)


def turn(text: str, start: float, end: float) -> UserTurn:
    return UserTurn(0, text, start, end)


def test_a_turn_without_wake_word_is_not_meant() -> None:
    wakes = Wakes(window=5)
    assert wakes.meant(turn("What time is it?", 1, 2)) is None
    wakes.wake(wake(10, 10.6))
    assert wakes.meant(turn("What time is it?", 1, 2)) is None, "said before"
    assert wakes.meant(turn("What time is it?", 15, 16)) == "What time is it?"
    assert wakes.meant(turn("What time is it?", 15.7, 17)) is None, "too late"


def test_a_wake_word_inside_a_turn() -> None:
    wakes = Wakes()
    wakes.wake(wake(1.2, 1.9))
    assert wakes.meant(turn("Hey computer, stop.", 1.0, 2.6)) == "Stop."
    assert wakes.meant(turn("Hey computer.", 1.0, 2.0)) == ""
    assert wakes.meant(turn("Hake ompt.", 1.0, 2.0)) == "", "what else could it be"


def test_after_an_answer_no_wake_word_is_needed() -> None:
    wakes = Wakes(open_until=20.0)
    assert wakes.meant(turn("And tomorrow?", 19, 20)) == "And tomorrow?"
    assert wakes.meant(turn("And tomorrow?", 21, 22)) is None
