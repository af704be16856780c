"""The brain's actions against a real broker and a real HTTP server."""

from __future__ import annotations

import asyncio
import http.server
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from streamer.graph import Out, Source
from streamer.nodes.brain_rules import BrainRules
from streamer.packets import ReplyText, UserTurn
from tests.mqtt.conftest import mosquitto as mosquitto  # a fixture
from tests.mqtt.mosquitto import Mosquitto, free_port, subscribed
from tests.nodes.graphs import chain


class Person(Source):
    kind = "test.person"
    turn: Out[UserTurn]

    async def run(self) -> None:
        for i, text in enumerate(self.ctx.local["said"]):
            await self.turn.send(UserTurn(i, text, i, i + 1))


async def talk(said: list[str], rules: list[Any], **settings: Any) -> tuple[list[str], list[str]]:
    engine, got = chain((Person, {}), (BrainRules, {"rules": rules, **settings}))
    engine.local = {"got": got, "said": said}  # type: ignore[misc]
    for runner in engine.runners.values():
        runner.local = engine.local
    await engine.run()
    replies = [value for value, _ in got]
    assert all(isinstance(r, ReplyText) and r.last for r in replies)
    assert [r.turn for r in replies] == list(range(len(said)))
    return [r.text for r in replies], [r.error.code for r in engine.reports]


def test_every_turn_gets_one_answer() -> None:
    rules = [{"when": "my name is {name}", "say": "Hello {name}."}]
    texts, errors = asyncio.run(talk(["My name is Ada.", "What?"], rules, fallback=["Pardon?"]))
    assert texts == ["Hello ada.", "Pardon?"] and errors == []


LIGHT = {
    "when": "turn {state:on|off} the {room} light",
    "say": "The {room} light is {state}.",
    "do": {"mqtt": "home/{room}/light/set", "payload": "{state}"},
    "sorry": "The {room} light does not answer.",
}


def test_a_command_arrives_at_the_broker(mosquitto: Mosquitto) -> None:
    async def scenario() -> None:
        async with subscribed(mosquitto.port, "home/#") as mailbox:
            texts, errors = await talk(["Turn on the hall light."], [LIGHT], port=mosquitto.port)
            assert texts == ["The hall light is on."] and errors == []
            assert await mailbox.until("set", 1) == [b"on"]
            assert mailbox.messages[0].topic.value == "home/hall/light/set"

    asyncio.run(scenario())


def test_a_broker_that_is_away_is_told_and_the_dialogue_goes_on() -> None:
    said = ["turn on the hall light", "turn off the hall light"]
    texts, errors = asyncio.run(talk(said, [LIGHT], port=free_port(), broker="127.0.0.1"))
    assert texts == ["The hall light does not answer."] * 2
    assert errors == ["brain.action"] * 2


class _Server(http.server.BaseHTTPRequestHandler):
    asked: list[tuple[str, str, bytes]] = []

    def do_GET(self) -> None:  # noqa: N802
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.asked.append((self.command, self.path, body))
        if self.path.startswith("/broken"):
            self.send_error(500)
            return
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"sunny, 20 degrees\n")

    do_POST = do_GET  # noqa: N815

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Server) as made:
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        _Server.asked.clear()
        yield f"http://127.0.0.1:{made.server_port}"
        made.shutdown()
        thread.join()


def test_an_address_is_called_and_its_answer_said(server: str) -> None:
    rules = [
        {
            "when": "weather in {city}",
            "say": "It is {result}.",
            "do": {"http": server + "/weather?q={city}"},
        },
        {
            "when": "open the {door} door",
            "say": "Done.",
            "do": {"http": server + "/door", "method": "POST", "body": "open {door}"},
        },
        {"when": "broken", "say": "x", "do": {"http": server + "/broken"}, "sorry": "No."},
        {"when": "file", "say": "x", "do": {"http": "file:///etc/passwd"}, "sorry": "Never."},
    ]
    said = ["weather in new york", "open the front door", "broken", "file"]
    texts, errors = asyncio.run(talk(said, rules))
    assert texts == ["It is sunny, 20 degrees.", "Done.", "No.", "Never."]
    assert errors == ["brain.action"] * 2
    assert _Server.asked[:2] == [
        ("GET", "/weather?q=new%20york", b""),
        ("POST", "/door", b"open front"),
    ]
