from __future__ import annotations

import pytest

from streamer.packets import SpeechSpan, Stamp, Transcript, Word
from streamer.trace.latency import LatencyWatch

SECOND = 10**9


def stamp(seconds: float) -> Stamp:
    """Audio that was captured as it was spoken; media time 0 is at 100 s of the clock."""
    return Stamp("s", int(seconds * 16000), 16000, int((100 + seconds) * SECOND))


def test_the_wait_counts_from_the_speech_whatever_audio_the_stamp_is_of() -> None:
    watch = LatencyWatch()
    partial = Transcript("good", 2.0, 2.8, 7)
    assert watch.arrived(partial, stamp(2.8), 103 * SECOND) == {"first_partial": pytest.approx(1.0)}
    assert watch.arrived(partial, stamp(3.2), 104 * SECOND) == {}
    words = (Word("good", 2.0, 2.5, 1.0), Word("day", 2.5, 3.0, 1.0))
    final = Transcript("good day", 2.0, 3.2, 7, 2, 8, True, words)
    assert watch.arrived(final, stamp(3.2), int(103.9 * SECOND)) == {"final": pytest.approx(0.9)}
    assert watch.arrived(final, stamp(3.2), 105 * SECOND) == {}, "a second sink"


def test_a_segment_without_partials_has_both_and_other_things_have_none() -> None:
    watch = LatencyWatch()
    final = Transcript("hm", 1.0, 1.5, 0, 0, 2, True)
    assert watch.arrived(final, stamp(1.5), 102 * SECOND) == {
        "first_partial": pytest.approx(1.0),
        "final": pytest.approx(0.5),
    }
    assert watch.arrived(SpeechSpan("start", 0, 1.0), stamp(1.5), 102 * SECOND) == {}
    unstamped = Transcript("hm", 1.0, 1.5, 1, 0, 2, True)
    assert watch.arrived(unstamped, Stamp(), 102 * SECOND) == {}


def test_what_is_remembered_is_bounded() -> None:
    watch = LatencyWatch()
    for segment in range(1000):
        final = Transcript("hm", 1.0, 1.5, segment, 0, 2, True)
        assert len(watch.arrived(final, stamp(1.5), 102 * SECOND)) == 2
    assert len(watch._seen) <= 32
