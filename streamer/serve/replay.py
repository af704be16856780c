"""What was sent to a client, kept long enough to send it again after a dropped connection."""

from __future__ import annotations

from collections import deque
from typing import Any

from streamer.serve.messages import dump

__all__ = ["Replay"]


class Replay:
    """Numbers messages and keeps the last ``capacity`` of them, as text.

    Partials that a newer message of their segment has replaced are not kept. (Text, and not
    objects: the garbage collector would visit the messages of all sessions again and again.)
    """

    def __init__(self, capacity: int = 512) -> None:
        self.sent = 0
        self._kept: deque[tuple[int, str]] = deque(maxlen=capacity)
        self._partial: Any = None
        """The segment of the newest message, if that is a partial."""

    def add(self, message: dict[str, Any]) -> str:
        """The message with its ``seq`` (from 1), as JSON."""
        self.sent += 1
        text = dump({**message, "seq": self.sent})
        segment = message.get("segment")
        if self._kept and self._partial is not None and self._partial == segment:
            self._kept.pop()
        self._partial = segment if message["type"] == "partial" else None
        self._kept.append((self.sent, text))
        return text

    def after(self, seq: int) -> list[tuple[int, str]]:
        """Numbers and texts of the kept messages behind number ``seq``, in order."""
        return [kept for kept in self._kept if kept[0] > seq]
