"""What has been called stable stays, whatever the hypotheses do."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streamer.asr.agreement import LocalAgreement


def starts_word(token: int) -> bool:
    """Even tokens begin a word, odd ones continue it."""
    return token % 2 == 0


def test_words_settle_once_all_hypotheses_of_the_span_agree() -> None:
    agreement = LocalAgreement(starts_word, span=10)
    assert agreement.update((2, 4, 6), 5) == ()
    assert agreement.update((2, 4, 8, 10), 10) == ()
    assert agreement.update((2, 4, 8, 10, 12), 15) == (2, 4)
    assert agreement.update((2, 4, 8, 14), 20) == (2, 4, 8)


def test_a_word_that_may_still_grow_is_not_stable() -> None:
    agreement = LocalAgreement(starts_word, span=10)
    agreement.update((2, 4), 0)
    assert agreement.update((2, 4), 10) == (2,)
    assert agreement.update((2, 4, 5), 20) == (2,)
    assert agreement.update((2, 4, 5, 6), 30) == (2,)
    assert agreement.update((2, 4, 5, 6, 8), 40) == (2, 4, 5)


def test_the_first_hypothesis_alone_settles_nothing() -> None:
    assert LocalAgreement(starts_word, span=1).update((2, 4, 6), 10**9) == ()


@given(
    st.lists(st.tuples(st.lists(st.integers(2, 9), max_size=12), st.integers(1, 8)), max_size=12),
    st.integers(1, 20),
)
def test_stable_only_grows_by_whole_words(steps: list[tuple[list[int], int]], span: int) -> None:
    agreement, at = LocalAgreement(starts_word, span), 0
    for tail, step in steps:
        at += step
        before = agreement.stable
        hypothesis = (*before, *tail)
        stable = agreement.update(hypothesis, at)
        assert stable[: len(before)] == before
        assert hypothesis[: len(stable)] == stable
        if len(stable) > len(before):
            assert len(hypothesis) == len(stable) or starts_word(hypothesis[len(stable)])
