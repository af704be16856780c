"""Reading a client's JSON without trusting it, and our events as plain objects."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from streamer.captions.formats import transcript_record
from streamer.errors import InputError
from streamer.nodes.session import Delivery
from streamer.packets import SpeechSpan

__all__ = ["event_object", "parse_object"]

MAX_VALUES = 4096
"""Of one message; none of the protocols comes near. It bounds the time that parsing takes."""


def parse_object(text: str, *, max_depth: int) -> dict[str, Any]:
    """The JSON object in ``text``. Raises :class:`InputError` (``serve.bad-message``) otherwise."""
    brackets = text.count("[") + text.count("{")
    if brackets + text.count(",") > MAX_VALUES:
        raise _bad(f"it holds more than {MAX_VALUES} values")
    if brackets > max_depth and _depth(text) > max_depth:
        raise _bad(f"it nests deeper than {max_depth}")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise _bad("it is not JSON") from None
    if not isinstance(value, dict):
        raise _bad("it is not a JSON object")
    if "\\u" in text:
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise _bad("it holds half a character (a lone surrogate)") from None
    return value


def _depth(text: str) -> int:
    """How deep brackets nest, those in strings counted too."""
    codes = np.frombuffer(text.encode(errors="replace"), np.uint8)
    # [ and { open, ] and } close: they differ in bit 5 alone, and no other character matches.
    folded = codes | 0x20
    steps = (folded == ord("{")).astype(np.int32) - (folded == ord("}"))
    return int(np.cumsum(steps).max(initial=0))


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
