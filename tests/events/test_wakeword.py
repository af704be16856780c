"""openWakeWord's own models on synthetic speech."""

from __future__ import annotations

import numpy as np
import pytest
import soxr

from streamer.errors import ModelError
from streamer.events.wakeword import WakeWords
from streamer.packets import AudioEvent, AudioFrame, Samples

pytest.importorskip("hibari")
pytest.importorskip("pyopen_wakeword")
from streamer.tts.hibari import HibariVoice  # noqa: E402


def spoken(text: str) -> Samples:
    voice = HibariVoice("heart")
    samples = np.concatenate([run.samples for run in voice.speak(text)])
    samples = soxr.resample(samples, voice.rate, 16000)
    return np.concatenate([np.zeros(16000), samples, np.zeros(16000)]).astype(np.float32)


def hear(samples: Samples, models: dict[str, float], chunk: int = 320) -> list[AudioEvent]:
    words, events = WakeWords(models), []
    for at in range(0, len(samples), chunk):
        events += words.push(AudioFrame(samples[at : at + chunk, None], 16000, at))
    words.close()
    return events


def test_each_model_hears_its_own_phrase_once() -> None:
    models = {"hey_jarvis": 0.5, "okay_nabu": 0.5}
    samples = np.concatenate([spoken("Hey Jarvis!"), spoken("What time is it?")])
    events = hear(samples, models)
    assert [event.label for event in events] == ["hey jarvis"]
    end = events[0].end
    assert end is not None and 1.2 < end < 2.6


def test_chunks_change_nothing() -> None:
    samples = spoken("Hey Jarvis!")
    models = {"hey_jarvis": 0.3}
    whole = hear(samples, models, 10**6)
    assert len(whole) == 1
    assert hear(samples, models, 1001) == whole


def test_a_gap_forgets_half_a_phrase_and_rubbish_is_silence() -> None:
    samples = spoken("Hey Jarvis!")
    words = WakeWords({"hey_jarvis": 0.3})
    half = len(samples) // 2
    assert words.push(AudioFrame(samples[:20000, None], 16000, 0)) == []
    assert words.push(AudioFrame(samples[half + 4000 :, None], 16000, half + 160000)) == []
    assert words.push(AudioFrame(np.full((16000, 1), np.nan, np.float32), 16000, 10**6)) == []


def test_an_unknown_model_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(ModelError) as caught:
        WakeWords({"hey_you": 0.5})
    assert caught.value.code == "events.wake.model" and "okay_nabu" in caught.value.hint
