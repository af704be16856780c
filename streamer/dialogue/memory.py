"""What was said, as a language model is told: within a budget, and only what was really heard."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = ["Memory", "tokens_of"]

PER_MESSAGE = 4
CHARACTERS_PER_TOKEN = 4


def tokens_of(message: dict[str, Any]) -> int:
    """An estimate: a token for four characters of text, four for each message."""
    calls = message.get("tool_calls") or ()
    length = len(message.get("content") or "")
    length += sum(len(c["function"]["name"]) + len(c["function"]["arguments"]) for c in calls)
    return PER_MESSAGE + -(-length // CHARACTERS_PER_TOKEN)


@dataclass(slots=True)
class _Exchange:
    turn: int
    messages: list[dict[str, Any]] = field(default_factory=list)


class Memory:
    """A dialogue of at most ``budget`` tokens (estimated).

    The system prompt always stays, and so does the newest turn; the oldest go first, whole, so
    that a tool's result never stands without its call.
    """

    def __init__(self, system: str, budget: int) -> None:
        self._system = [{"role": "system", "content": system}] if system else []
        self._budget = budget
        self._exchanges: list[_Exchange] = []

    def ask(self, turn: int, text: str) -> None:
        """A turn begins."""
        message = {"role": "user", "content": text}
        self._exchanges.append(_Exchange(turn, [message]))
        self._shrink()

    def add(self, turn: int, message: dict[str, Any]) -> None:
        """A message of the assistant or of a tool, in answer to ``turn``."""
        exchange = self._find(turn)
        if exchange is not None:
            exchange.messages.append(message)
            self._shrink()

    def heard(self, turn: int, text: str) -> None:
        """The answer to ``turn`` was cut off: only ``text`` of it was heard."""
        exchange = self._find(turn)
        if exchange is None:
            return
        said = [m for m in exchange.messages if m["role"] == "assistant" and m.get("content")]
        for message in reversed(said):
            if message.get("tool_calls"):
                message["content"] = None
            else:
                exchange.messages.remove(message)
        if text:
            exchange.messages.append({"role": "assistant", "content": text})

    @property
    def messages(self) -> list[dict[str, Any]]:
        """As the API wants them, oldest first."""
        return [*self._system, *(m for e in self._exchanges for m in e.messages)]

    def _find(self, turn: int) -> _Exchange | None:
        return next((e for e in reversed(self._exchanges) if e.turn == turn), None)

    def _shrink(self) -> None:
        while len(self._exchanges) > 1 and sum(map(tokens_of, self.messages)) > self._budget:
            del self._exchanges[0]
