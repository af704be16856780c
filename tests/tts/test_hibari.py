from __future__ import annotations

import numpy as np
import pytest

from streamer.errors import ModelError
from streamer.tts.hibari import HibariVoice
from streamer.tts.voice import spread


@pytest.fixture(scope="module")
def voice() -> HibariVoice:
    return HibariVoice()


def test_word_times_lie_where_the_sound_is(voice: HibariVoice) -> None:
    (run,) = voice.speak("The ship sailed at half past nine.")
    assert [w.text for w in run.words] == "The ship sailed at half past nine.".split()
    times = [t for w in run.words for t in (w.start, w.end)]
    assert times == sorted(times) and times[-1] <= run.samples.shape[0] / voice.rate
    loud = [
        np.abs(run.samples[int(w.start * voice.rate) : int(w.end * voice.rate)]).max()
        for w in run.words
    ]
    assert min(loud) > 0.05
    # the pause that a comma makes lies between the words
    (run,) = voice.speak("He came, and went.")
    gap = run.samples[int(run.words[1].end * voice.rate) : int(run.words[2].start * voice.rate)]
    assert gap.size > 0.02 * voice.rate and np.abs(gap).min() < 0.01


def test_a_sentence_begins_at_once_and_ends_soon(voice: HibariVoice) -> None:
    (run,) = voice.speak("Good morning.")
    loud = np.flatnonzero(np.abs(run.samples) > 0.01) / voice.rate
    assert loud[0] < 0.06
    assert run.samples.shape[0] / voice.rate - loud[-1] < 0.3


def test_numbers_dates_and_money_are_said(voice: HibariVoice) -> None:
    def seconds(text: str) -> float:
        return sum(r.samples.shape[0] for r in voice.speak(text)) / voice.rate

    for written, said in [
        ("$9.99", "nine dollars and ninety nine cents"),
        ("3.5 kg", "three point five kilograms"),
        ("July 21st 2024", "july twenty first twenty twenty four"),
        ("1,250", "one thousand two hundred and fifty"),
    ]:
        assert seconds(written) == pytest.approx(seconds(said), rel=0.3)


def test_the_same_text_gives_the_same_sound(voice: HibariVoice) -> None:
    first, second = (np.concatenate([r.samples for r in voice.speak("Once.")]) for _ in "ab")
    assert np.array_equal(first, second)


def test_a_sentence_longer_than_the_network_allows_is_cut_between_words(voice: HibariVoice) -> None:
    words = ["understanding"] * 80
    runs = list(voice.speak(" ".join(words)))
    assert len(runs) > 1
    said = [w for r in runs for w in r.words]
    assert [w.text for w in said] == words
    assert all(a.end <= b.start + 0.3 for a, b in zip(said, said[1:], strict=False))


def test_an_unknown_voice_names_the_known() -> None:
    with pytest.raises(ModelError, match="There is no voice") as caught:
        HibariVoice("nobody")
    assert caught.value.code == "tts.voice.unknown" and "heart" in caught.value.hint


def test_speed(voice: HibariVoice) -> None:
    def length(v: HibariVoice) -> int:
        return sum(r.samples.shape[0] for r in v.speak("A rather long way to go."))

    assert length(HibariVoice(speed=1.5)) < 0.8 * length(voice)


def test_spread_covers_the_time() -> None:
    words = spread("one seventeen", 2.0)
    assert words[0].start == 0 and words[-1].end == pytest.approx(2.0)
    assert words[1].end - words[1].start > words[0].end - words[0].start
