"""The events of OpenAI's ``/chat/completions``."""

from __future__ import annotations

import json
from typing import Any


def text(piece: str) -> bytes:
    return delta({"content": piece})


def call(name: str, arguments: str, index: int = 0) -> list[bytes]:
    """A tool call in fragments, as OpenAI sends it."""
    half = len(arguments) // 2
    head = {"index": index, "id": f"call_{index}", "type": "function"}
    return [
        delta({"tool_calls": [head | {"function": {"name": name, "arguments": ""}}]}),
        delta({"tool_calls": [{"index": index, "function": {"arguments": arguments[:half]}}]}),
        delta({"tool_calls": [{"index": index, "function": {"arguments": arguments[half:]}}]}),
    ]


def delta(value: dict[str, Any]) -> bytes:
    choice = {"index": 0, "delta": value, "finish_reason": None}
    chunk = {"id": "x", "object": "chat.completion.chunk", "created": 0, "model": "m"}
    return b"data: " + json.dumps(chunk | {"choices": [choice]}).encode() + b"\n\n"


DONE = b"data: [DONE]\n\n"
