"""What was sent to a client, kept long enough to send it again after a dropped connection."""

from __future__ import annotations

from collections import deque
from typing import Any

__all__ = ["Replay"]


class Replay:
    """Numbers messages and keeps the last ``capacity`` of them.

    Partials that a newer message of their segment has replaced are not kept.
    """

    def __init__(self, capacity: int = 512) -> None:
        self.sent = 0
        self._kept: deque[dict[str, Any]] = deque(maxlen=capacity)

    def add(self, message: dict[str, Any]) -> dict[str, Any]:
        """The message with its ``seq`` (from 1)."""
        self.sent += 1
        numbered = {**message, "seq": self.sent}
        last = self._kept[-1] if self._kept else None
        if (
            last is not None
            and last["type"] == "partial"
            and last.get("segment") == message.get("segment")
        ):
            self._kept.pop()
        self._kept.append(numbered)
        return numbered

    def after(self, seq: int) -> list[dict[str, Any]]:
        """The kept messages behind number ``seq``, in order."""
        return [message for message in self._kept if message["seq"] > seq]
