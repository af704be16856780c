"""Event detectors in graphs, with their shipped models on real sound."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from streamer.graph import Node
from streamer.nodes.events_keywords import EventsKeywords
from streamer.nodes.events_sound import EventsSound
from streamer.nodes.source_file import SourceFile
from streamer.packets import AudioEvent
from tests.nodes.graphs import chain

SAMPLES = Path(__file__).parents[2] / "graphs" / "samples"


def events(
    node: type[Node], file: str, settings: dict[str, Any]
) -> tuple[list[AudioEvent], list[Any]]:
    source = {"path": str(SAMPLES / file), "pace": "fast"}
    engine, got = chain((SourceFile, source), (node, settings))
    asyncio.run(engine.run())
    return [value for value, _ in got], engine.reports


def test_a_keyword_is_heard_where_it_is_said() -> None:
    found, reports = events(EventsKeywords, "wake.flac", {"phrases": ["computer", "banana bread"]})
    assert not reports
    (one,) = found
    assert (one.detector, one.label, one.state) == ("keyword", "computer", "instant")
    assert one.end is not None and 3.7 < one.start < one.end < 4.7
    assert 0.3 <= one.confidence <= 1


def test_a_phrase_with_its_own_threshold() -> None:
    phrases = {"what day is it": 0.1, "what time is it": 1.0}
    found, _ = events(EventsKeywords, "wake.flac", {"phrases": phrases})
    assert "what day is it" in [one.label for one in found]


@pytest.mark.parametrize("phrases", [[], {"stop": 0.0}, {"stop": 1.5}])
def test_phrases_that_cannot_be_meant(phrases: Any) -> None:
    with pytest.raises(ValidationError):
        EventsKeywords.Config(phrases=phrases)


def test_sounds_begin_and_end() -> None:
    found, reports = events(EventsSound, "sounds.flac", {"labels": {"Rooster": 0.5}})
    assert not reports
    assert [(one.label, one.state) for one in found] == [("Rooster", "start"), ("Rooster", "end")]
