"""Reading a client's JSON without trusting it, and our events as plain objects."""

from __future__ import annotations

import json
from typing import Any

from streamer.captions.formats import event_record, transcript_record
from streamer.errors import InputError
from streamer.nodes.session import Delivery
from streamer.packets import AudioEvent, SpeechSpan

__all__ = ["dump", "event_object", "parse_object"]

MAX_VALUES = 4096
"""Of one message; none of the protocols comes near. It bounds the time that parsing takes."""


def parse_object(text: str, *, max_depth: int) -> dict[str, Any]:
    """The JSON object in ``text``. Raises :class:`InputError` (``serve.bad-message``) otherwise."""
    brackets = text.count("[") + text.count("{")
    if brackets + text.count(",") > MAX_VALUES:
        raise _bad(f"it holds more than {MAX_VALUES} values")
    try:
        value = json.loads(text)
    except ValueError:
        raise _bad("it is not JSON") from None
    except RecursionError:
        raise _bad(f"it nests deeper than {max_depth}") from None
    if brackets > max_depth and _deeper(value, max_depth):
        raise _bad(f"it nests deeper than {max_depth}")
    if not isinstance(value, dict):
        raise _bad("it is not a JSON object")
    if "\\u" in text:
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise _bad("it holds half a character (a lone surrogate)") from None
    return value


def _deeper(value: Any, depth: int) -> bool:
    """Whether ``value`` nests deeper than ``depth``; looks no deeper than that."""
    if not isinstance(value, dict | list):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return depth == 0 or any(_deeper(part, depth - 1) for part in inner)


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
    if isinstance(event, AudioEvent):
        return event_record(event) | {"latency_ms": latency}
    return transcript_record(event) | {"latency_ms": latency}


def dump(message: dict[str, Any]) -> str:
    """As it is sent."""
    return json.dumps(message, ensure_ascii=False, separators=(",", ":"))
