"""When a segment ends: trailing silence with and without words, and a maximum length."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["EndpointRules"]


@dataclass(frozen=True, slots=True)
class EndpointRules:
    """Seconds; None switches a rule off. Silence is time without a new token.

    ``after_words``: silence that ends a segment in which something was said.
    ``without_words``: silence after which the recogniser starts afresh although nothing was.
    ``longest``: a segment longer than this ends where its next word begins.
    """

    after_words: float | None = 0.8
    without_words: float | None = 2.4
    longest: float | None = 20.0

    def silent_enough(self, silence: float, spoke: bool) -> bool:
        """Whether ``silence`` seconds end the segment."""
        limit = self.after_words if spoke else self.without_words
        return limit is not None and silence >= limit
