"""Joining a quick reading to a slower one."""

from __future__ import annotations

from streamer.asr.newest import newest_words
from streamer.packets import Word


def said(text: str, start: float = 0.0) -> list[Word]:
    """Words of half a second each."""
    return [
        Word(word, start + 0.5 * i, start + 0.5 * (i + 1)) for i, word in enumerate(text.split())
    ]


def after(slow: str, quick: str, upto: float) -> str:
    return " ".join(w.text for w in newest_words(said(slow), said(quick), upto))


def test_it_goes_on_where_both_say_the_same() -> None:
    assert after("It was a Dark,", "it was a dark and stormy", 2.0) == "and stormy"


def test_words_that_differ_are_counted() -> None:
    assert after("the old reciter", "the old resighter sang well", 1.5) == "sang well"
    assert after("the reciter sang a", "the resighter sung a song", 2.0) == "song"


def test_a_word_too_many_in_the_middle_does_no_harm() -> None:
    assert after("once upon a time there", "once a upon a time there lived", 2.5) == "lived"


def test_without_a_meeting_point_the_times_decide() -> None:
    slow, quick = said("come to the garden of the house"), said("x y z q r s t u v w")
    assert [w.text for w in newest_words(slow, quick, 3.5)] == ["v", "w"]


def test_nothing_slow_yet_and_nothing_new() -> None:
    assert after("", "hello there", 0.0) == "hello there"
    assert after("hello there", "hello there", 1.0) == ""
    assert after("hello there", "", 1.0) == ""


def test_an_early_repetition_is_not_taken_for_the_end() -> None:
    slow = "the cat and the dog and the bird and the fish and the"
    assert after(slow, slow + " horse", 6.5) == "horse"


def test_a_slow_reading_may_lag_far_behind() -> None:
    text = " ".join(f"word{i}" for i in range(80))
    rest = " ".join(f"more{i}" for i in range(60))
    assert after(text, f"{text} {rest}", 40.0) == rest


def test_long_readings_are_joined_by_their_ends() -> None:
    text = " ".join(f"word{i}" for i in range(80))
    assert after(text, text + " and more", 40.0) == "and more"
