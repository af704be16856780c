"""Rules: what to answer to which sentence, and what to do.

A rule has patterns (``when``), answers (``say``, one of them is chosen), perhaps an action
(``do``) with an answer of its own for the case that it fails (``sorry``), and rules that hold for
the next turn only (``then``). Answers may name slots, ``{time}``, ``{date}``, ``{weekday}`` and,
after an action, ``{result}``.
"""

from __future__ import annotations

import random
import string
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    WithJsonSchema,
    model_validator,
)

from streamer.dialogue.patterns import Match, Pattern, normalise

__all__ = ["Action", "HttpAction", "MqttAction", "Reply", "Rule", "RuleBook", "Strict", "fill"]

KNOWN = frozenset({"time", "date", "weekday", "result"})
POLITE = (
    "please",
    "thanks",
    "thank you",
    "hey",
    "hi",
    "hello",
    "ok",
    "okay",
    "so",
    "well",
    "um",
    "uh",
    "can you",
    "could you",
    "would you",
    "i want you to",
    "for me",
    "now",
    "then",
    "and",
)
"""Taken off the beginning and the end of a sentence that fits no rule as it is."""


def _many(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Texts = Annotated[
    list[str],
    BeforeValidator(_many),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]


class Strict(BaseModel):
    """Base of what is written in YAML: unknown keys are refused, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)


class MqttAction(Strict):
    """Publish a message on the node's broker; slots may stand in topic and payload."""

    mqtt: str = Field(description="the topic")
    payload: str = ""
    qos: Literal[0, 1] = 1


class HttpAction(Strict):
    """Call an address; slots may stand in it and in the body. ``result`` is the answer's text."""

    http: str = Field(description="the address")
    method: Literal["GET", "POST", "PUT"] = "GET"
    body: str = ""
    timeout: float = Field(3.0, gt=0, le=30)
    """Seconds."""


Action = MqttAction | HttpAction


class Rule(Strict):
    """One thing a person may say."""

    when: Texts = Field(min_length=1)
    say: Texts = Field(min_length=1)
    do: Action | None = None
    sorry: Texts = ["Sorry, that did not work."]
    then: list[Rule] = []
    _patterns: list[Pattern] = PrivateAttr(default_factory=list)

    @model_validator(mode="after")
    def _compile(self) -> Rule:
        self._patterns.extend(Pattern(source) for source in self.when)
        always = frozenset.intersection(*(p.slots for p in self._patterns))
        texts = [*self.say, *self.sorry]
        if isinstance(self.do, MqttAction):
            texts += [self.do.mqtt, self.do.payload]
        elif isinstance(self.do, HttpAction):
            texts += [self.do.http, self.do.body]
        for text in texts:
            for name in _fields(text):
                if name not in always | KNOWN:
                    known = ", ".join(sorted(always | KNOWN))
                    raise ValueError(
                        f"{{{name}}} in {text!r} is not a slot of every pattern (known: {known})"
                    )
        return self

    def match(self, words: Sequence[str]) -> Match | None:
        """The best fit among the patterns."""
        found = [m for m in (p.match(words) for p in self._patterns) if m is not None]
        return min(found, key=lambda m: (m.errors, m.free), default=None)


@dataclass(frozen=True, slots=True)
class Reply:
    """What to answer: ``text`` with ``{result}`` still open, ``sorry`` if the action fails."""

    text: str
    action: Action | None = None
    sorry: str = ""
    slots: Mapping[str, str] | None = None


class RuleBook:
    """Finds the rule for a sentence; remembers which follow-up rules hold."""

    def __init__(
        self, rules: Sequence[Rule], fallback: Sequence[str], seed: int | None = None
    ) -> None:
        self._rules, self._fallback = rules, fallback
        self._random = random.Random(seed)
        self._then: Sequence[Rule] = ()

    def reply(self, text: str, now: datetime) -> Reply:
        """The answer to ``text``; the rule's ``then`` hold for the next call only."""
        follow, self._then = self._then, ()
        for words in _wordings(text):
            for rules in (follow, self._rules):
                found = self._best(rules, words)
                if found is not None:
                    rule, slots = found
                    self._then = rule.then
                    return self._answer(rule, slots, now)
        return Reply(fill(self._random.choice(list(self._fallback)), _clock(now)))

    def _best(
        self, rules: Iterable[Rule], words: Sequence[str]
    ) -> tuple[Rule, Mapping[str, str]] | None:
        found = [(m, r) for r in rules if (m := r.match(words)) is not None]
        if not found:
            return None
        match, rule = min(found, key=lambda pair: (pair[0].errors, pair[0].free))
        return rule, match.slots

    def _answer(self, rule: Rule, slots: Mapping[str, str], now: datetime) -> Reply:
        values = {**_clock(now), **slots}
        text = fill(self._random.choice(rule.say), values)
        sorry = fill(self._random.choice(rule.sorry), values)
        return Reply(text, rule.do, sorry, values)


def fill(text: str, values: Mapping[str, str]) -> str:
    """``text`` with the names in braces replaced; unknown ones stay."""
    return string.Formatter().vformat(text, (), _Open(values))


class _Open(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return f"{{{key}}}"


def _fields(text: str) -> list[str]:
    try:
        return [name for _, name, _, _ in string.Formatter().parse(text) if name is not None]
    except ValueError as error:
        raise ValueError(f"{text!r}: {error}") from None


def _wordings(text: str) -> Iterator[list[str]]:
    """The sentence, then without politeness around it."""
    words = normalise(text)
    yield words
    changed = True
    bare = words
    while changed:
        changed = False
        for phrase in POLITE:
            part = phrase.split()
            if len(bare) > len(part) and bare[: len(part)] == part:
                bare, changed = bare[len(part) :], True
            if len(bare) > len(part) and bare[-len(part) :] == part:
                bare, changed = bare[: -len(part)], True
    if bare != words:
        yield bare


def _clock(now: datetime) -> dict[str, str]:
    hour = now.hour % 12 or 12
    half = "in the morning" if now.hour < 12 else "in the afternoon"
    if now.hour >= 18:
        half = "in the evening"
    minute = f":{now.minute:02d}" if now.minute else " o'clock"
    return {
        "time": f"{hour}{minute} {half}",
        "weekday": now.strftime("%A"),
        "date": f"{now.strftime('%A')}, {now.strftime('%B')} {now.day}, {now.year}",
    }
