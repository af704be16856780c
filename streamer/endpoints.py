"""What the clients of OpenAI-compatible endpoints have in common."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["bearer", "reason_of"]


def bearer(key: str) -> dict[str, str]:
    """The headers that show ``key``, if there is one."""
    return {"Authorization": f"Bearer {key}"} if key else {}


def reason_of(body: bytes) -> str:
    """What a server that refuses says, in the usual JSON or as it stands."""
    text = body[:2000].decode("utf-8", "replace").strip()
    try:
        answer: Any = json.loads(text)
        error = answer.get("error") or answer.get("detail") or text
        text = str(error.get("message", error) if isinstance(error, dict) else error)
    except (ValueError, AttributeError):
        pass
    return text[:200] or "no reason given."
