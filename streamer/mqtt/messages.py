"""Transcripts, speech and other events as JSON."""

from __future__ import annotations

import json
from typing import Any

from streamer.captions.formats import event_record, transcript_record
from streamer.mqtt.outbox import Message
from streamer.packets import AudioEvent, SpeechSpan, Transcript

__all__ = ["to_message"]


def to_message(
    event: Transcript | SpeechSpan | AudioEvent,
    base: str,
    qos: int,
    *,
    age_ms: float,
    time: float,
) -> Message:
    """The message for ``event`` on ``<base>/partial``, ``/final``, ``/speech`` or ``/event``.

    Partials are transient (QoS 0). ``age_ms``: from capture to now. ``time``: seconds since 1970.
    """
    common = {"latency_ms": round(age_ms, 1), "time": round(time, 3)}
    if isinstance(event, SpeechSpan):
        return Message(f"{base}/speech", _encode(_speech(event) | common), qos)
    if isinstance(event, AudioEvent):
        return Message(f"{base}/event", _encode(event_record(event) | common), qos)
    payload = _encode(transcript_record(event) | common)
    if event.final:
        return Message(f"{base}/final", payload, qos, about=event.segment)
    return Message(f"{base}/partial", payload, 0, transient=True, about=event.segment)


def _speech(span: SpeechSpan) -> dict[str, Any]:
    return {
        "type": "speech",
        "state": span.state,
        "index": span.index,
        "start": round(span.start, 3),
        "end": None if span.end is None else round(span.end, 3),
    }


def _encode(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
