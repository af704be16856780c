"""Every graph that ships runs as it stands."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import jiwer
import pytest
import webvtt

from streamer.errors import DeviceError
from streamer.graph import Engine
from streamer.graph.build import load_graph
from streamer.nodes import registry

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
