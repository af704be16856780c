"""Times borrowed from another reading."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streamer.asr.timing import borrow_times
from streamer.packets import Word


def words(*items: tuple[str, float, float]) -> tuple[Word, ...]:
    return tuple(Word(text, start, end, 0.5) for text, start, end in items)


def test_words_that_are_the_same_take_over_times_and_the_rest_fits_between() -> None:
    final = words(("Well,", 0, 1), ("the", 1, 2), ("red", 2, 3), ("cat", 3, 4), ("sat.", 4, 5))
    first = words(("the", 1.1, 1.3), ("read", 1.4, 1.7), ("cat", 2.0, 2.5), ("sat", 2.6, 3.0))
    out = borrow_times(final, first)
    assert [w.text for w in out] == ["Well,", "the", "red", "cat", "sat."]
    assert [(w.start, w.end) for w in out] == [
        (0, 1.1), (1.1, 1.3), (1.3, 2.0), (2.0, 2.5), (2.6, 3.0),
    ]  # fmt: skip
    assert {w.confidence for w in out} == {0.5}


def test_nothing_in_common_keeps_the_span() -> None:
    out = borrow_times(words(("a", 1, 2), ("b", 2, 3)), words(("x", 0.5, 0.7)))
    assert (out[0].start, out[-1].end) == (1, 3)
    assert borrow_times((), words(("x", 0, 1))) == ()


@given(st.lists(st.sampled_from("abc"), max_size=8), st.lists(st.sampled_from("abc"), max_size=8))
def test_times_never_run_backwards(final: list[str], first: list[str]) -> None:
    a = words(*((t, float(i), i + 0.8) for i, t in enumerate(final)))
    b = words(*((t, float(i), i + 0.8) for i, t in enumerate(first)))
    out = borrow_times(a, b)
    assert [w.text for w in out] == final
    edges = [edge for w in out for edge in (w.start, w.end)]
    if all(t in first for t in final):
        assert edges == sorted(edges)
    assert all(w.start <= w.end for w in out)
