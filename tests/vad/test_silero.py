from pathlib import Path

import numpy as np
import pytest

from streamer.audio.decode import decode
from streamer.packets import AudioFrame
from streamer.vad.silero import CHUNK, Piece, SileroModel, SileroState
from streamer.vad.stream import SpeechStream
from tests.audio.signals import cut

MODEL = Path(__file__).parents[2] / "models" / "silero-vad" / "silero_vad_16k_op15.onnx"
SENTENCES = [(0.5, 7.6), (8.3, 11.29), (11.99, 17.29), (17.99, 24.04), (24.74, 28.03)]


@pytest.fixture(scope="module")
def model():
    return SileroModel(MODEL)


@pytest.fixture(scope="module")
def speech():
    path = Path(__file__).parents[2] / "graphs" / "samples" / "austen.flac"
    return np.concatenate([frame.samples for frame in decode(path)])


def detect(model, frames):
    stream, events = SpeechStream(), []

    def hear(pieces):
        for piece in pieces:
            events.extend(stream.heard(piece, model.run_pieces([piece])[0]))

    for frame in frames:
        hear(stream.take(frame))
    hear(stream.rest())
    return events + stream.finish()


def test_speech_is_found_where_it_is(model, speech):
    ends = [e for e in detect(model, [AudioFrame(speech, 16000)]) if e.state == "end"]
    for begin, end in SENTENCES:
        assert any(e.start < begin + 1 and e.end > begin + 0.5 for e in ends)
        assert any(abs(e.speech_end - end) < 0.6 for e in ends)


@pytest.mark.parametrize("sizes", [[1], [511, 513, 7], [320], [16001]])
def test_the_cut_does_not_matter(model, speech, sizes):
    part = speech[: 16000 * 9] if sizes != [1] else speech[:40000]
    assert detect(model, cut(part, 16000, sizes)) == detect(model, [AudioFrame(part, 16000)])


def test_streams_in_a_batch_do_not_touch_each_other(model, speech):
    a, b = speech[:16384, 0].reshape(-1, CHUNK), speech[48000 : 48000 + 16384, 0].reshape(-1, CHUNK)
    alone = [model.run_pieces([Piece(x, SileroState(), 0, x.size)])[0] for x in (a, b[:20])]
    states = [SileroState(), SileroState()]
    together = model.run_pieces(
        [Piece(x, s, 0, x.size) for x, s in zip((a, b[:20]), states, strict=True)]
    )
    assert [len(found) for found in together] == [32, 20]
    for found, expected in zip(together, alone, strict=True):
        assert np.allclose(found, expected, atol=1e-5)
    assert max(alone[1]) > 0.9


def test_silence_noise_and_offset_are_not_speech(model):
    rng = np.random.default_rng(0)
    for sound in (
        np.zeros(48000),
        np.full(48000, 0.5),
        0.01 * rng.standard_normal(48000),
    ):
        assert detect(model, [AudioFrame(sound.astype(np.float32)[:, None], 16000)]) == []


def test_nan_does_not_deafen_the_stream(model, speech):
    broken = speech.copy()
    broken[1000:1010] = np.nan
    assert detect(model, [AudioFrame(broken, 16000)])[0].state == "start"


def test_times_after_a_gap_are_true(model, speech):
    part = speech[8000 : 16000 * 4]
    here = detect(model, [AudioFrame(part, 16000)])
    far = detect(model, [AudioFrame(part, 16000, 16000 * 60)])
    assert far[-1].speech_end == here[-1].speech_end + 60
