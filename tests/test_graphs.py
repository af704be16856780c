"""Every graph that ships runs as it stands."""

from __future__ import annotations

import asyncio
import json
import re
import wave
from itertools import pairwise
from pathlib import Path

import jiwer
import numpy as np
import pytest
import webvtt

from streamer.errors import DeviceError
from streamer.graph import Engine
from streamer.graph.build import load_graph
from streamer.nodes import registry
from tests.dialogue import chat_events
from tests.http_server import running

ROOT = Path(__file__).parent.parent
GRAPHS = sorted((ROOT / "graphs").glob("*.yaml"))
REFERENCE = (ROOT / "graphs" / "samples" / "austen.txt").read_text()


def words(text: str) -> str:
    spelled = text.lower().replace("mr.", "mister").replace("-", " ")
    return " ".join(re.sub(r"[^a-z' ]", " ", spelled).split())


@pytest.mark.parametrize("path", GRAPHS, ids=lambda path: path.stem)
def test_it_is_right_and_strict(path: Path) -> None:
    load_graph(path, registry(), variables={}, strict=True)


def play(name: str, **variables: str) -> Engine:
    plan = load_graph(ROOT / "graphs" / f"{name}.yaml", registry(), variables=variables)
    engine = Engine(plan)
    asyncio.run(engine.run())
    return engine


def test_live_captions(tmp_path: Path, sample: Path) -> None:
    out = tmp_path / "captions.vtt"
    engine = play("live-captions", SOURCE=str(sample), PACE="fast", OUT=str(out))
    captions = webvtt.read(str(out)).captions
    said = words(" ".join(caption.text for caption in captions))
    assert jiwer.wer(words(REFERENCE), said) <= 0.12
    assert 0 <= captions[0].start_in_seconds < 2 and captions[-1].end_in_seconds < 29
    assert not engine.reports
    assert not any(channel.dropped for channel in engine.channels)


def test_file_to_text(tmp_path: Path, sample: Path) -> None:
    out = tmp_path / "talk.txt"
    play("file-to-text", SOURCE=str(sample), OUT=str(out))
    assert jiwer.wer(words(REFERENCE), words(out.read_text())) <= 0.12


def test_mic_captions_without_a_microphone_says_so(tmp_path: Path) -> None:
    pytest.importorskip("sounddevice")
    with pytest.raises(DeviceError) as caught:
        play("mic-captions", MIC="no such microphone", OUT=str(tmp_path / "a.vtt"))
    assert caught.value.code in ("device.not-found", "device.no-portaudio")


def say(path: Path, text: str) -> None:
    """Speak ``text`` into a sound file, with a second of silence around it."""
    from streamer.tts.hibari import HibariVoice

    voice = HibariVoice()
    silence = np.zeros(voice.rate, np.float32)
    spoken = [run.samples for run in voice.speak(text)]
    sound = np.concatenate([silence, *spoken, silence])
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, voice.rate, 0, "NONE", ""))
        file.writeframes((sound * 32767).astype("<i2").tobytes())


def test_dictation_of_a_spoken_memo(tmp_path: Path) -> None:
    pytest.importorskip("hibari")
    out = tmp_path / "memo.txt"
    say(tmp_path / "memo.wav", "The meeting is on Monday, comma, at noon. New line. Please come.")
    play("dictation", SOURCE=str(tmp_path / "memo.wav"), PACE="fast", OUT=str(out))
    lines = out.read_text().splitlines()
    assert len(lines) == 2 and "comma" not in out.read_text().lower()
    assert words(lines[0]).startswith("the meeting is on monday") and "," in lines[0]
    assert words(lines[1]) == "please come"


def test_meeting_captions(tmp_path: Path, sample: Path) -> None:
    out = tmp_path / "meeting"
    play("meeting-captions", SOURCE=str(sample), OUT=str(out), PARAGRAPH="0.8s")
    text = out.with_suffix(".txt").read_text()
    rows = [json.loads(row) for row in out.with_suffix(".jsonl").read_text().splitlines()]
    pauses = [b["start"] - a["end"] for a, b in pairwise(rows)]
    assert text.count("\n\n") == sum(pause >= 0.8 for pause in pauses)
    assert jiwer.wer(words(REFERENCE), words(text)) <= 0.15
    said = " ".join(caption.text for caption in webvtt.read(str(out.with_suffix(".vtt"))).captions)
    assert words(said) == words(text)


def test_sound_alerts(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "alerts.jsonl"
    sample = ROOT / "graphs" / "samples" / "sounds.flac"
    play("sound-alerts", SOURCE=str(sample), PACE="fast", OUT=str(out))
    rows = [json.loads(row) for row in out.read_text().splitlines()]
    assert {row["type"] for row in rows} == {"event"}
    assert {row["label"] for row in rows} == {"Dog bark", "Rooster"}
    assert all(row["end"] > row["start"] for row in rows if row["state"] == "end")
    shown = capfd.readouterr().out
    assert "[sound: Rooster start]" in shown and "[sound: Rooster end]" in shown


def test_only_what_follows_the_wake_word_is_answered(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("hibari")
    out, sample = tmp_path / "answer.wav", ROOT / "graphs" / "samples" / "wake.flac"
    engine = play("wake-assistant", SOURCE=str(sample), OUT=str(out))
    assert not engine.reports
    lines = capfd.readouterr().out.splitlines()
    assert any("[keyword: computer]" in line for line in lines)
    turns = [line for line in lines if line.startswith("turn ")]
    assert len(turns) == 1 and "what day is it" in turns[0].lower()
    with wave.open(str(out)) as answer:
        assert answer.getnframes() / answer.getframerate() > 1.5


def test_a_language_model_answers(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("hibari")
    pytest.importorskip("httpx")
    out, sample = tmp_path / "answer.wav", ROOT / "graphs" / "samples" / "question.flac"
    with running("text/event-stream") as server:
        pieces = [chat_events.text(word + " ") for word in "It is late. Go to bed.".split()]
        server.plans = [[*pieces, chat_events.DONE]]
        engine = play("assistant-chat", SOURCE=str(sample), OUT=str(out), CHAT_URL=server.url)
        asked = server.requests[0]["messages"][-1]["content"]
    assert not engine.reports
    assert words(asked) == "what time is it"
    shown = capfd.readouterr().out
    assert "It is late. Go to bed." in shown and "voice-to-voice" in shown.splitlines()[-1]
    with wave.open(str(out)) as answer:
        assert answer.getnframes() / answer.getframerate() > 1.5
