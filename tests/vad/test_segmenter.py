from hypothesis import given
from hypothesis import strategies as st

from streamer.vad.segmenter import SpeechSegmenter

CHUNK = 512


def spans(probabilities, skip=(), **settings):
    segmenter = SpeechSegmenter(**settings)
    events = []
    for i, probability in enumerate(probabilities):
        if i not in skip:
            events += segmenter.push(probability, i * CHUNK, (i + 1) * CHUNK)
    return events + segmenter.finish()


def test_pre_roll_hang_over_and_exact_times():
    start, end = spans([0] * 20 + [0.9] * 20 + [0] * 30)
    assert (start.state, end.state) == ("start", "end")
    assert start.start == end.start == 20 * 0.032 - 0.25
    assert end.speech_end == 40 * 0.032
    assert end.end == 40 * 0.032 + 0.2
    assert (start.index, end.index, start.end) == (0, 0, None)


def test_a_click_is_not_speech():
    assert spans([0] * 5 + [0.9] * 2 + [0] * 30) == []


def test_a_short_pause_does_not_split():
    events = spans([0.9] * 10 + [0] * 10 + [0.9] * 10 + [0] * 30)
    assert [event.state for event in events] == ["start", "end"]


def test_between_the_thresholds_nothing_changes():
    events = spans([0.9] * 10 + [0.4] * 40 + [0.9] * 10)
    assert [event.state for event in events] == ["start", "end"]
    assert spans([0.4] * 100) == []


def test_the_end_of_the_stream_closes_a_span():
    start, end = spans([0.9] * 10)
    assert end.end == end.speech_end == 10 * 0.032
    assert start.start == 0


def test_a_long_gap_ends_speech_and_a_short_one_does_not():
    voice = [0.9] * 60
    assert len(spans(voice, skip=range(20, 25))) == 2
    first, second = spans(voice, skip=range(20, 40))[1::2]
    assert first.speech_end == 20 * 0.032
    assert second.index == 1
    assert second.start >= first.end


@given(st.lists(st.sampled_from([0.0, 0.2, 0.4, 0.6, 0.95]), max_size=300))
def test_spans_alternate_and_never_overlap(probabilities):
    events = spans(probabilities)
    assert [e.state for e in events] == ["start", "end"] * (len(events) // 2)
    floor = 0.0
    for start, end in zip(events[::2], events[1::2], strict=True):
        assert floor <= start.start < end.speech_end <= end.end
        assert start.start == end.start
        assert start.index == end.index
        floor = end.end


def test_a_pause_is_told_once_before_the_end_and_again_after_more_voice() -> None:
    segmenter = SpeechSegmenter(min_silence=0.25, pause=0.1, min_speech=0.03)
    chunk, probabilities = 512, [0.9] * 6 + [0.1] * 5 + [0.9] * 4 + [0.1] * 8
    events = [
        event
        for i, probability in enumerate(probabilities)
        for event in segmenter.push(probability, i * chunk, (i + 1) * chunk)
    ]
    assert [event.state for event in events] == ["start", "pause", "pause", "end"]
    assert [event.speech_end for event in events[1:]] == [0.192, 0.48, 0.48]
    assert {event.index for event in events} == {0}
