"""WebVTT, SRT, JSON lines and plain text, a record at a time."""

from __future__ import annotations

import json
from typing import Any, Protocol

from streamer.captions.cues import CueMaker
from streamer.packets import AudioEvent, Transcript

__all__ = ["Format", "JsonLines", "PlainText", "Srt", "WebVtt", "event_record", "transcript_record"]


class Format(Protocol):
    """Turns transcripts into records; every prefix of the records is a valid file."""

    header: str
    partials: bool
    """Whether partials are written too."""

    def record(self, transcript: Transcript, age: float) -> str:
        """The text to append; may be empty. ``age``: seconds since the newest word was said."""


class WebVtt:
    """WebVTT (W3C): https://www.w3.org/TR/webvtt1/."""

    header = "WEBVTT\n\n"
    partials = False

    def __init__(self) -> None:
        self._maker = CueMaker()

    def record(self, transcript: Transcript, age: float) -> str:
        return "".join(
            f"{_clock(cue.start, '.')} --> {_clock(cue.end, '.')}\n"
            + "\n".join(_escape(line) for line in cue.lines)
            + "\n\n"
            for cue in self._maker.cues(transcript)
        )


class Srt:
    """SubRip, as every player reads it."""

    header = ""
    partials = False

    def __init__(self) -> None:
        self._maker = CueMaker()
        self._count = 0

    def record(self, transcript: Transcript, age: float) -> str:
        record = ""
        for cue in self._maker.cues(transcript):
            self._count += 1
            times = f"{_clock(cue.start, ',')} --> {_clock(cue.end, ',')}"
            text = "\n".join(line.replace("-->", "->") for line in cue.lines)
            record += f"{self._count}\n{times}\n{text}\n\n"
        return record


class PlainText:
    """One final a line; line breaks within a final are kept.

    With ``paragraph`` an empty line stands where nobody spoke for so many seconds.
    """

    header = ""
    partials = False

    def __init__(self, *, paragraph: float = 0.0) -> None:
        self._paragraph = paragraph
        self._last: float | None = None

    def record(self, transcript: Transcript, age: float) -> str:
        text = "\n".join(" ".join(line.split()) for line in transcript.text.split("\n"))
        if not text:
            return ""
        pause = 0.0 if self._last is None else transcript.start - self._last
        self._last = transcript.end
        return ("\n" if self._paragraph and pause >= self._paragraph else "") + f"{text}\n"


class JsonLines:
    """One object a line, partials and events too; see docs/outputs.md."""

    header = ""

    def __init__(self, *, partials: bool = True) -> None:
        self.partials = partials

    def record(self, event: Transcript | AudioEvent, age: float) -> str:
        made = event_record(event) if isinstance(event, AudioEvent) else transcript_record(event)
        record = made | {"age_ms": round(age * 1000, 1)}
        return json.dumps(record, ensure_ascii=False) + "\n"


def event_record(event: AudioEvent) -> dict[str, Any]:
    """A sound, keyword or tone as a JSON object; times in seconds of media."""
    return {
        "type": "event",
        "detector": event.detector,
        "label": event.label,
        "state": event.state,
        "start": round(event.start, 3),
        "end": None if event.end is None else round(event.end, 3),
        "confidence": round(event.confidence, 3),
    }


def transcript_record(transcript: Transcript) -> dict[str, Any]:
    """A transcript as a JSON object; times in seconds of media."""
    return {
        "type": "final" if transcript.final else "partial",
        "text": transcript.text,
        "start": round(transcript.start, 3),
        "end": round(transcript.end, 3),
        "segment": transcript.segment,
        "revision": transcript.revision,
        "stable_len": transcript.stable_len,
        "words": [
            {
                "text": word.text,
                "start": round(word.start, 3),
                "end": round(word.end, 3),
                "confidence": round(word.confidence, 3),
            }
            for word in transcript.words
        ],
    }


def _clock(seconds: float, point: str) -> str:
    total = max(0, round(seconds * 1000))
    hours, rest = divmod(total, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    return f"{hours:02}:{minutes:02}:{rest // 1000:02}{point}{rest % 1000:03}"


def _escape(line: str) -> str:
    return line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
