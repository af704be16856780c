"""Reading a client's JSON without trusting it, and our events as plain objects."""

from __future__ import annotations

import json
from typing import Any

from streamer.captions.formats import transcript_record
from streamer.errors import InputError
from streamer.nodes.session import Delivery
from streamer.packets import SpeechSpan

__all__ = ["event_object", "parse_object"]


def parse_object(text: str, *, max_depth: int) -> dict[str, Any]:
    """The JSON object in ``text``. Raises :class:`InputError` (``serve.bad-message``) otherwise."""
    depth = highest = 0
    for character in text:
        if character in "[{":
            depth += 1
            highest = max(highest, depth)
        elif character in "]}":
            depth -= 1
    if highest > max_depth:
        raise _bad(f"it nests deeper than {max_depth}")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise _bad("it is not JSON") from None
    if not isinstance(value, dict):
        raise _bad("it is not a JSON object")
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise _bad("it holds half a character (a lone surrogate)") from None
    return value


def _bad(why: str) -> InputError:
    return InputError(
        f"The message cannot be read: {why}.",
        code="serve.bad-message",
        hint="See docs/protocol.md.",
    )


def event_object(delivery: Delivery, now_ns: int) -> dict[str, Any]:
    """A delivery as the native protocol shows it."""
    event = delivery.event
    if event is None:
        return {"type": "mark", "id": delivery.mark}
    latency = round((now_ns - delivery.stamp.captured_ns) / 1e6, 1)
    if isinstance(event, SpeechSpan):
        return {
            "type": "speech",
            "state": event.state,
            "start": round(event.start, 3),
            "end": None if event.end is None else round(event.end, 3),
            "latency_ms": latency,
        }
    return transcript_record(event) | {"latency_ms": latency}
