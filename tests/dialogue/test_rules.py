from __future__ import annotations

from datetime import datetime

import pytest
from pydantic import ValidationError

from streamer.dialogue.rules import HttpAction, MqttAction, Rule, RuleBook

NOW = datetime(2026, 3, 1, 15, 5)
RULES = [
    Rule(when="what time is it", say="It is {time}."),
    Rule(when="what is the date", say="It is {date}."),
    Rule(
        when=["turn {state:on|off} [the] {room} light", "light {state:on|off} in [the] {room}"],
        say="The {room} light is {state}.",
        do=MqttAction(mqtt="home/{room}/light", payload="{state}"),
        sorry="The {room} light does not answer.",
    ),
    Rule(
        when="order a pizza",
        say="Which size?",
        then=[Rule(when="{size:small|large}", say="A {size} one.")],
    ),
    Rule(when="{x}", say="You said {x}."),
]


def book(rules: list[Rule] = RULES) -> RuleBook:
    return RuleBook(rules, ["Pardon?"], seed=1)


def test_time_and_date() -> None:
    assert book().reply("What time is it?", NOW).text == "It is 3:05 in the afternoon."
    assert book().reply("what is the date", NOW).text == "It is Sunday, March 1, 2026."
    morning = book().reply("what time is it", NOW.replace(hour=0, minute=0))
    assert morning.text == "It is 12 o'clock in the morning."


def test_slots_actions_and_the_answer_for_failure() -> None:
    reply = book().reply("Light off in the dining room", NOW)
    assert reply.text == "The dining room light is off."
    assert reply.sorry == "The dining room light does not answer."
    assert isinstance(reply.action, MqttAction)
    assert reply.slots is not None and reply.slots["state"] == "off"


def test_the_more_exact_rule_wins_over_the_open_one() -> None:
    assert book().reply("what is the date", NOW).text.startswith("It is")
    assert book().reply("bananas", NOW).text == "You said bananas."


def test_politeness_is_taken_off_only_where_nothing_fits_with_it() -> None:
    strict = book(RULES[:-1])
    assert strict.reply("Hey, could you turn on the hall light, please?", NOW).text == (
        "The hall light is on."
    )
    greeting = book([Rule(when="hello", say="Hi!"), *RULES[:-1]])
    assert greeting.reply("Hello!", NOW).text == "Hi!"


def test_follow_up_rules_hold_for_one_turn() -> None:
    talk = book()
    assert talk.reply("order a pizza", NOW).text == "Which size?"
    assert talk.reply("large", NOW).text == "A large one."
    assert talk.reply("large", NOW).text == "You said large."


def test_nothing_fits() -> None:
    assert book(RULES[:1]).reply("bananas", NOW).text == "Pardon?"
    assert book(RULES[:1]).reply("", NOW).text == "Pardon?"


def test_the_same_seed_chooses_the_same_answers() -> None:
    rules = [Rule(when="hi", say=["a", "b", "c", "d"])]
    first, second = ([RuleBook(rules, ["x"], 3).reply("hi", NOW).text] for _ in "ab")
    assert first == second


def test_http_results_stay_open_until_there_is_one() -> None:
    rule = Rule(when="weather", say="It is {result}.", do=HttpAction(http="http://x/{result}"))
    assert book([rule]).reply("weather", NOW).text == "It is {result}."


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"when": "turn (on", "say": "x"}, "is missing"),
        ({"when": "hi", "say": "{who}"}, "{who} in '{who}' is not a slot of every pattern"),
        ({"when": ["a {x}", "b"], "say": "{x}"}, "not a slot of every pattern"),
        ({"when": [], "say": "x"}, "at least 1 item"),
        ({"when": "hi", "say": "x", "saay": "y"}, "Extra inputs"),
        ({"when": "hi", "say": "{"}, "Single"),
    ],
)
def test_a_wrong_rule_says_what_is_wrong(settings: dict[str, object], what: str) -> None:
    with pytest.raises(ValidationError, match=what.replace("{", r"\{").replace("}", r"\}")):
        Rule(**settings)  # type: ignore[arg-type]
