"""Against a real HTTP server that speaks the protocol, well and badly."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from streamer.errors import ModelError
from streamer.tts.endpoint import EndpointVoice
from tests.http_server import Server, running
from tests.tts.tone import TONE

TEXT = "One two three four five six."


@pytest.fixture
def server() -> Iterator[Server]:
    with running() as server:
        yield server


@pytest.fixture
def voice(server: Server) -> Iterator[EndpointVoice]:
    voice = EndpointVoice(server.url, model="tts-1", voice="alloy", key="secret", timeout=1.0)
    yield voice
    voice.close()


def test_the_sound_arrives_whole_whatever_the_pieces(server: Server, voice: EndpointVoice) -> None:
    data = TONE.tobytes()
    server.plans = [[data[:1], data[1:4002], data[4002:9999], data[9999:]]]
    runs = list(voice.speak(TEXT))
    sound = np.concatenate([run.samples for run in runs])
    assert np.array_equal(np.round(sound * 32768), TONE)
    words = [w for run in runs for w in run.words]
    assert " ".join(w.text for w in words) == TEXT
    assert all(0 <= w.start <= w.end for w in words) and words[-1].end <= 1.0
    (body,), (key,), (path,) = server.requests, server.keys, server.paths
    assert key == "Bearer secret" and path == "/v1/audio/speech"
    assert (body["input"], body["voice"], body["response_format"]) == (TEXT, "alloy", "pcm")


def test_sound_is_out_before_the_server_is_done(server: Server, voice: EndpointVoice) -> None:
    server.plans = [[TONE.tobytes()[:19200], 0.5, TONE.tobytes()[19200:]]]
    begin = time.monotonic()
    runs = voice.speak(TEXT)
    next(runs)
    assert time.monotonic() - begin < 0.4
    list(runs)


def test_closing_in_the_middle_ends_the_request(server: Server, voice: EndpointVoice) -> None:
    server.plans = [[TONE.tobytes()] * 400]
    runs = voice.speak(TEXT)
    next(runs)
    runs.close()  # type: ignore[attr-defined]
    assert server.broken.wait(5)
    server.plans = [[TONE.tobytes()]]
    assert sum(run.samples.size for run in voice.speak(TEXT)) == TONE.size


def test_the_pace_of_the_voice_is_learned(server: Server, voice: EndpointVoice) -> None:
    server.plans = [[TONE.tobytes() * 4]]  # four seconds: slower than most
    for _ in range(8):
        runs = list(voice.speak(TEXT))
    words = [w for run in runs for w in run.words]
    ends = [w.end for w in words]
    assert ends == sorted(ends) and 1.5 < words[3].start < 2.5


@pytest.mark.parametrize(
    ("status", "plan", "code", "says"),
    [
        (401, [b'{"error": {"message": "bad key"}}'], "tts.endpoint.refused", "401: bad key"),
        (500, [b"<html>"], "tts.endpoint.refused", "500: <html>"),
        (422, [b'["odd"]'], "tts.endpoint.refused", '422: ["odd"]'),
        (200, [b"RIFF1234WAVE"], "tts.endpoint.format", "'RIFF'"),
        (200, [TONE.tobytes()[:9600], None], "tts.endpoint.broken", "broke off"),
        (200, [2.0], "tts.endpoint.slow", "too long"),
    ],
)
def test_what_goes_wrong_is_named(
    server: Server, voice: EndpointVoice, status: int, plan: list[Any], code: str, says: str
) -> None:
    server.status, server.plans = status, [plan]
    with pytest.raises(ModelError) as caught:
        list(voice.speak(TEXT))
    assert caught.value.code == code and says in caught.value.message


def test_no_server() -> None:
    with pytest.raises(ModelError) as caught:
        list(EndpointVoice("http://127.0.0.1:9/v1", model="m", voice="v").speak(TEXT))
    assert caught.value.code == "tts.endpoint.unreachable"


def test_an_empty_answer_is_no_sound(server: Server, voice: EndpointVoice) -> None:
    server.plans = [[]]
    assert list(voice.speak(TEXT)) == []
