"""``brain.rules``: answers from rules in YAML; needs no network."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from streamer.dialogue.act import Hands
from streamer.dialogue.rules import Rule, RuleBook, fill
from streamer.errors import StreamerError
from streamer.graph import In, Node, NodeConfig, Out
from streamer.packets import ReplyText, UserTurn

__all__ = ["BrainRules"]


class BrainRules(Node):
    """Answers each turn by the first rule that fits; patterns with slots, answers, actions.

    Actions publish on MQTT or call an address; if one fails, the rule's `sorry` is said and the
    error is reported. What fits no rule gets a `fallback` answer.
    """

    kind = "brain.rules"
    outside = True
    turn: In[UserTurn]
    reply: Out[ReplyText]

    class Config(NodeConfig):
        rules: list[Rule] = Field(min_length=1)
        fallback: list[str] = ["Sorry, I did not understand that."]
        seed: int | None = None
        """Makes the choice among several answers repeatable."""
        broker: str = "localhost"
        """Where MQTT actions go."""
        port: int = Field(1883, ge=1, le=65535)
        username: str | None = None
        password: str | None = None

    async def start(self) -> None:
        c = self.config
        self._book = RuleBook(c.rules, c.fallback, c.seed)
        self._hands = Hands(self.ctx.call, c.broker, c.port, c.username, c.password)

    async def process(self, turn: UserTurn) -> None:
        reply = self._book.reply(turn.text, datetime.now())
        text = reply.text
        if reply.action is not None:
            try:
                result = await self._hands.act(reply.action, reply.slots or {})
                text = fill(text, {"result": result})
            except StreamerError as error:
                self.ctx.report(error)
                text = reply.sorry
        await self.reply.send(ReplyText(turn.index, text, last=True))
