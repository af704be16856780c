"""The shipped sound detector on real sounds, and its stream in chunks of any size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from streamer.audio.decode import decode
from streamer.errors import InputError, ModelError
from streamer.events.sound import SoundModel, SoundRules, SoundStream
from streamer.hub import resolve
from streamer.packets import AudioEvent, AudioFrame, Samples

SAMPLES = Path(__file__).parents[2] / "graphs" / "samples"


@pytest.fixture(scope="module")
def model() -> SoundModel:
    return SoundModel(resolve("sound-events", task="events.sound", rate=16000).files["model"])


def read(name: str) -> Samples:
    return np.concatenate([frame.samples for frame in decode(SAMPLES / name)])


def hear(
    model: SoundModel,
    samples: Samples,
    chunk: int = 320,
    rules: SoundRules | None = None,
    start: int = 0,
) -> list[AudioEvent]:
    stream = SoundStream(model, rules)
    events: list[AudioEvent] = []
    for at in range(0, len(samples), chunk):
        ended, pieces = stream.take(AudioFrame(samples[at : at + chunk], 16000, start + at))
        events += ended
        for piece in pieces:
            events += stream.heard(model.run([piece])[0])
    return events + stream.finish()


def test_a_dog_and_a_rooster(model: SoundModel) -> None:
    events = hear(model, read("sounds.flac"))
    found = {(event.label, event.state) for event in events}
    assert found == {(n, s) for n in ("Dog bark", "Rooster") for s in ("start", "end")}
    crow = next(e for e in events if e.label == "Rooster" and e.state == "end")
    assert crow.end is not None
    assert 8.5 < crow.start < 9.8 and 10.3 < crow.end < 11.5 and crow.confidence > 0.5
    assert all(0.9 < e.start < 6.5 for e in events if e.label == "Dog bark")


def test_speech_is_none_of_them(model: SoundModel) -> None:
    assert hear(model, read("austen.flac")) == []


@pytest.mark.parametrize("chunk", [1, 161, 7777, 10**6])
def test_chunks_change_nothing(model: SoundModel, chunk: int) -> None:
    samples = read("sounds.flac")[8 * 16000 : 9 * 16000 if chunk == 1 else 11 * 16000]
    assert hear(model, samples, chunk) == hear(model, samples)


def test_streams_in_a_batch_do_not_touch_each_other(model: SoundModel) -> None:
    first, second = read("sounds.flac")[16000:], read("austen.flac")
    streams = [SoundStream(model), SoundStream(model)]
    events: list[list[AudioEvent]] = [[], []]
    for at in range(0, 14 * 16000, 2560):
        taken = [
            s.take(AudioFrame(x[at : at + 2560], 16000, at))[1]
            for s, x in zip(streams, (first, second), strict=True)
        ]
        for pair in zip(*taken, strict=True):
            for i, row in enumerate(model.run(list(pair))):
                events[i] += streams[i].heard(row)
    alone = hear(model, first[: 14 * 16000], 2560)
    assert [(e.label, e.state, e.start) for e in events[0]] == [
        (e.label, e.state, e.start) for e in alone[: len(events[0])]
    ]
    assert events[0] and not events[1]


def test_a_gap_ends_what_went_on_and_rubbish_is_silence(model: SoundModel) -> None:
    crow = read("sounds.flac")[int(8.2 * 16000) : int(10 * 16000)]
    stream = SoundStream(model)
    _, pieces = stream.take(AudioFrame(crow, 16000, 0))
    events = [event for piece in pieces for event in stream.heard(model.run([piece])[0])]
    assert [(e.label, e.state) for e in events] == [("Rooster", "start")]
    ended, _ = stream.take(AudioFrame(crow, 16000, 10**6))
    assert [(e.label, e.state) for e in ended] == [("Rooster", "end")]
    assert ended[0].end is not None and ended[0].end <= 1.81
    nothing = np.full((16000, 1), np.nan, np.float32)
    assert hear(model, nothing) == []


def test_only_the_labels_wanted(model: SoundModel) -> None:
    events = hear(model, read("sounds.flac"), rules=SoundRules(labels={"Rooster": 0.5}))
    assert {event.label for event in events} == {"Rooster"}
    with pytest.raises(InputError, match="knows Baby cry") as caught:
        SoundStream(model, SoundRules(labels={"Cat": 0.5}))
    assert caught.value.code == "events.sound.label"


def test_a_file_that_is_no_such_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.onnx"
    path.write_bytes(b"rubbish")
    other = resolve("silero-vad", task="vad", rate=16000).files["model"]
    for wrong in (path, other, tmp_path / "missing.onnx"):
        with pytest.raises(ModelError) as caught:
            SoundModel(wrong)
        assert caught.value.code == "events.sound.model"
