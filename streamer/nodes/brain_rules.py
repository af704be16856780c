"""``brain.rules``: answers from rules in YAML; needs no network."""

from __future__ import annotations

import asyncio
import urllib.error
import urllib.request
from datetime import datetime

from pydantic import Field

from streamer.dialogue.rules import HttpAction, MqttAction, Reply, Rule, RuleBook, fill
from streamer.errors import OutputError, StreamerError
from streamer.graph import In, Node, NodeConfig, Out
from streamer.packets import ReplyText, UserTurn

__all__ = ["BrainRules"]

LONGEST_RESULT = 2000
"""Bytes of an HTTP answer that are looked at."""


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

    async def process(self, turn: UserTurn) -> None:
        reply = self._book.reply(turn.text, datetime.now())
        text = reply.text
        if reply.action is not None:
            try:
                result = await self._act(reply)
                text = fill(text, {"result": result})
            except StreamerError as error:
                self.ctx.report(error)
                text = reply.sorry
        await self.reply.send(ReplyText(turn.index, text, last=True))

    async def _act(self, reply: Reply) -> str:
        action, values = reply.action, reply.slots or {}
        if isinstance(action, HttpAction):
            return await self.ctx.call(_call, action, dict(values))
        assert isinstance(action, MqttAction)
        topic, payload = fill(action.mqtt, values), fill(action.payload, values)
        await self._publish(topic, payload, action.qos)
        return ""

    async def _publish(self, topic: str, payload: str, qos: int) -> None:
        try:
            import aiomqtt

            from streamer.mqtt.broker import Broker, connected, exchange
        except ImportError as error:
            raise OutputError(
                "MQTT actions need the package aiomqtt.",
                code="mqtt.not-installed",
                hint="pip install 'streamer[mqtt]'",
            ) from error
        c = self.config
        broker = Broker(c.broker, c.port, username=c.username, password=c.password, timeout=2.0)
        try:
            async with asyncio.timeout(3), connected(broker) as client:
                await exchange(client.publish(topic, payload.encode(), qos=qos))
        except (aiomqtt.MqttError, TimeoutError) as error:
            raise OutputError(
                f"The MQTT broker {broker} did not take the message for {topic!r}: {error}.",
                code="brain.action",
                hint="The rule's `sorry` was said instead.",
            ) from error


def _call(action: HttpAction, values: dict[str, str]) -> str:
    from urllib.parse import quote

    url = fill(action.http, {k: quote(v) for k, v in values.items()})
    body = fill(action.body, values).encode() if action.body else None
    try:
        if not url.startswith(("http://", "https://")):
            raise ValueError("only http and https are called")
        request = urllib.request.Request(url, data=body, method=action.method)
        with urllib.request.urlopen(request, timeout=action.timeout) as answer:
            return str(answer.read(LONGEST_RESULT).decode("utf-8", "replace")).strip()
    except (OSError, ValueError) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        raise OutputError(
            f"{url} could not be called: {error}.",
            code="brain.action",
            hint="The rule's `sorry` was said instead.",
        ) from error
