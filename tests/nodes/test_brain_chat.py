"""The chat brain in graphs, against a real HTTP server that behaves well or badly."""

from __future__ import annotations

import asyncio
import http.server
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from streamer.graph import Edge, Engine, GraphPlan, NodePlan, Out, QueueSpec, Source
from streamer.nodes.brain_chat import BrainChat
from streamer.packets import Played, ReplyText, UserTurn
from tests.dialogue.chat_events import DONE, call, delta, text
from tests.http_server import Server, running
from tests.mqtt.conftest import mosquitto as mosquitto  # a fixture
from tests.mqtt.mosquitto import Mosquitto, free_port, subscribed
from tests.nodes.graphs import Collect

pytest.importorskip("httpx")


class Person(Source):
    """Says its script: a turn, what was played, a pause (s), or "interrupt"."""

    kind = "test.person"
    turn: Out[UserTurn]
    played: Out[Played]

    async def run(self) -> None:
        count = 0
        for item in self.ctx.local["script"]:
            if isinstance(item, float):
                await asyncio.sleep(item)
            elif isinstance(item, Played):
                await self.played.send(item)
            elif item == "interrupt":
                await self.ctx.interrupt()
            else:
                await self.turn.send(UserTurn(count, item, count, count + 1))
                count += 1


@pytest.fixture
def server() -> Iterator[Server]:
    with running("text/event-stream") as made:
        yield made


def talk(
    url: str, script: list[Any], **settings: Any
) -> tuple[dict[int, str], list[str], list[ReplyText]]:
    """Answers by turn, codes of the errors, and all pieces."""
    classes: dict[str, Any] = {"person": Person, "brain": BrainChat, "collect": Collect}
    config = {"url": url, "model": "m", **settings}
    nodes = {
        name: NodePlan(name, cls, cls.Config(**(config if name == "brain" else {})))
        for name, cls in classes.items()
    }
    outs, ins = Person.ports()[1], BrainChat.ports()[0]
    edges = [
        Edge("person", outs[port], "brain", ins[port], QueueSpec()) for port in ("turn", "played")
    ]
    reply, items = BrainChat.ports()[1]["reply"], Collect.ports()[0]["items"]
    edges.append(Edge("brain", reply, "collect", items, QueueSpec()))
    got: list[Any] = []
    engine = Engine(GraphPlan("t", nodes, edges), local={"script": script, "got": got})
    asyncio.run(engine.run())
    pieces = [value for value, _ in got]
    answers: dict[int, str] = {}
    for piece in pieces:
        answers[piece.turn] = answers.get(piece.turn, "") + piece.text
    return answers, [report.error.code for report in engine.reports], pieces


def test_pieces_are_spoken_as_they_come_and_the_dialogue_is_remembered(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", "secret")
    server.plans = [[text("Hel"), 0.1, text("lo."), DONE], [text("Again."), DONE]]
    answers, errors, pieces = talk(
        server.url, ["Hi.", 0.5, "And?"], key_env="MY_KEY", temperature=0.2, max_tokens=50
    )
    assert answers == {0: "Hello.", 1: "Again."} and errors == []
    assert [p.text for p in pieces if p.turn == 0] == ["Hel", "lo.", ""]
    assert [p.last for p in pieces if p.turn == 0] == [False, False, True]
    assert server.keys == ["Bearer secret"] * 2
    assert set(server.paths) == {"/v1/chat/completions"}
    roles = [(m["role"], m["content"]) for m in server.requests[1]["messages"][1:]]
    assert roles == [("user", "Hi."), ("assistant", "Hello."), ("user", "And?")]
    assert server.requests[0]["temperature"] == 0.2 and server.requests[0]["max_tokens"] == 50


def test_a_server_that_does_not_stream(server: Server) -> None:
    server.kind = "application/json"
    message = {"role": "assistant", "content": "All at once."}
    server.plans = [[json.dumps({"choices": [{"index": 0, "message": message}]}).encode()]]
    assert talk(server.url, ["Hi."])[:2] == ({0: "All at once."}, [])


LIGHT = {
    "name": "set_light",
    "description": "Switches a light.",
    "parameters": {
        "type": "object",
        "properties": {"room": {"type": "string"}, "level": {"type": "integer", "maximum": 100}},
        "required": ["room", "level"],
        "additionalProperties": False,
    },
    "do": {"mqtt": "home/{room}/light", "payload": "{level}"},
}


class Slow(http.server.BaseHTTPRequestHandler):
    """Does nothing for a second."""

    def do_GET(self) -> None:  # noqa: N802
        time.sleep(1.0)

    def log_message(self, *args: Any) -> None:
        pass


def test_a_tool_is_used_and_its_result_told(server: Server, mosquitto: Mosquitto) -> None:
    arguments = '{"room": "hall", "level": 40}'
    server.plans = [
        [text("One moment. "), *call("set_light", arguments), DONE],
        [text("The hall is lit."), DONE],
    ]

    async def arrives() -> bytes:
        async with subscribed(mosquitto.port, "home/#") as mailbox:
            result = await asyncio.to_thread(
                talk, server.url, ["Light!"], tools=[LIGHT], port=mosquitto.port, broker="127.0.0.1"
            )
            assert result[:2] == ({0: "One moment. The hall is lit."}, [])
            (payload,) = await mailbox.until("light", 1)
            return bytes(payload)

    assert asyncio.run(arrives()) == b"40"
    *_, asked, result = server.requests[1]["messages"]
    assert asked["tool_calls"][0]["function"] == {"name": "set_light", "arguments": arguments}
    assert result == {"role": "tool", "tool_call_id": "call_0", "content": "done"}


def test_what_is_sent_is_what_the_real_api_takes(server: Server) -> None:
    openai = pytest.importorskip("openai.types.chat.completion_create_params")
    arguments = '{"room": 7}'
    server.plans = [[*call("set_light", arguments), DONE], [text("No."), DONE]]
    talk(server.url, ["Light!"], tools=[LIGHT], temperature=1, max_tokens=9)
    adapter = TypeAdapter(openai.CompletionCreateParamsStreaming)
    for request in server.requests:
        adapter.validate_python(request)


@pytest.mark.parametrize(
    ("made", "problem"),
    [
        (call("set_light", '{"room": "hall"}'), "'level' is a required property"),
        (call("set_light", '{"room": "hall", "level": 400}'), "maximum of 100"),
        (call("set_light", '{"room": '), "not JSON"),
        (call("open_safe", "{}"), "no tool 'open_safe'"),
        ([delta({"tool_calls": [{}]})], "no tool ''"),
    ],
)
def test_a_call_that_cannot_be_is_told_to_the_model(
    server: Server, made: list[bytes], problem: str
) -> None:
    server.plans = [[*made, DONE], [text("I was wrong."), DONE]]
    answers, errors, _ = talk(server.url, ["Light!"], tools=[LIGHT])
    assert answers == {0: "I was wrong."} and errors == []
    assert problem in json.loads(server.requests[1]["messages"][-1]["content"])["error"]


def test_a_model_that_only_calls_tools_must_answer_in_the_end(server: Server) -> None:
    server.plans = [[*call("set_light", "{}"), DONE]] * 2 + [[text("Well."), DONE]]
    assert talk(server.url, ["Light!"], tools=[LIGHT], rounds=2)[0] == {0: "Well."}
    assert ["tools" in request for request in server.requests] == [True, True, False]


def test_a_model_that_never_answers_is_given_up_and_nothing_is_done_unasked(server: Server) -> None:
    server.plans = [[*call("set_light", "{}"), DONE]] * 2 + [[text("Fine."), DONE]]
    answers, errors, _ = talk(server.url, ["Light!", 0.5, "And?"], tools=[LIGHT], rounds=1)
    assert answers == {0: SORRY, 1: "Fine."} and errors == ["brain.chat.empty"]
    told = server.requests[2]["messages"]
    assert [m["role"] for m in told[1:]] == ["user", "assistant", "tool", "user"]


def test_a_tool_that_fails_or_hangs_is_told_to_the_model(server: Server) -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Slow) as slow:
        threading.Thread(target=slow.serve_forever, args=(0.01,)).start()
        at = f"http://127.0.0.1:{slow.server_port}/"
        tools = [
            {"name": "slow", "description": "x", "timeout": 0.2, "do": {"http": at}},
            {"name": "away", "description": "x", "do": {"mqtt": "a/b"}},
        ]
        both = [*call("slow", "{}"), *call("away", "{}", 1)]
        server.plans = [[*both, DONE], [text("Neither works."), DONE]]
        answers, errors, _ = talk(
            server.url, ["Go."], tools=tools, port=free_port(), broker="127.0.0.1"
        )
        slow.shutdown()
    assert answers == {0: "Neither works."} and errors == ["brain.action"]
    results = [json.loads(m["content"])["error"] for m in server.requests[1]["messages"][-2:]]
    assert "longer than 0.2 s" in results[0] and "did not take the message" in results[1]


SORRY = "Sorry, I cannot answer right now."
ENDLESS: list[Any] = [text("on and ") for _ in range(100)]


@pytest.mark.parametrize(
    ("plan", "answer", "code"),
    [
        ([DONE], SORRY, "brain.chat.empty"),
        ([text("Half a"), None], "Half a", "brain.chat.broken"),
        ([text("Half a")], "Half a", "brain.chat.broken"),
        ([b"data: {nonsense\n\n", DONE], SORRY, "brain.chat.broken"),
        ([b'data: {"choices": 7}\n\n', DONE], SORRY, "brain.chat.broken"),
        ([b'data: {"error": {"message": "overloaded"}}\n\n'], SORRY, "brain.chat.broken"),
        ([0.8, text("Late."), DONE], SORRY, "brain.chat.slow"),
        ([text("Half "), 0.8, text("late."), DONE], "Half ", "brain.chat.slow"),
        (ENDLESS, "on and " * 28, "brain.chat.endless"),
    ],
)
def test_a_bad_answer_is_reported_and_the_dialogue_goes_on(
    server: Server, plan: list[Any], answer: str, code: str
) -> None:
    server.plans = [plan, [text("Fine."), DONE]]
    answers, errors, pieces = talk(
        server.url, ["Hi.", 1.2, "And?"], first="400ms", between="400ms", longest=200
    )
    assert answers == {0: answer, 1: "Fine."} and errors == [code]
    assert [p.turn for p in pieces if p.last] == [0, 1]


@pytest.mark.parametrize("status", [401, 404, 429, 500])
def test_a_refusal_is_told_with_its_reason(server: Server, status: int) -> None:
    server.status = status
    server.plans = [[b'{"error": {"message": "not today"}}']]
    answers, errors, _ = talk(server.url, ["Hi."])
    assert answers == {0: SORRY} and errors == ["brain.chat.refused"]


def test_a_server_that_is_away() -> None:
    answers, errors, _ = talk(f"http://127.0.0.1:{free_port()}/v1", ["Hi.", 0.3, "Hi?"])
    assert answers == {0: SORRY, 1: SORRY} and errors == ["brain.chat.unreachable"] * 2


def test_an_interruption_closes_the_connection_and_only_heard_words_stay(server: Server) -> None:
    long = [text("word ") if i % 2 else 0.02 for i in range(200)]
    server.plans = [[text("Once upon a time "), *long], [text("Yes?"), DONE]]
    script = [
        "Tell me all.",
        0.3,
        Played(0, "Once", 0.3, "playing"),
        "interrupt",
        Played(0, "Once upon a", 0.5, "interrupted"),
        "Wait.",
        0.5,
    ]
    answers, errors, pieces = talk(server.url, script)
    assert server.broken.wait(5)
    assert answers[1] == "Yes?" and errors == []
    assert not any(p.last for p in pieces if p.turn == 0)
    roles = [(m["role"], m["content"]) for m in server.requests[1]["messages"][1:]]
    assert roles == [("user", "Tell me all."), ("assistant", "Once upon a"), ("user", "Wait.")]


def test_an_answer_of_which_nothing_was_heard_is_forgotten(server: Server) -> None:
    server.plans = [[text("It is late."), DONE], [text("Yes?"), DONE]]
    talk(server.url, ["What time is it?", 0.3, "interrupt", "Wait.", 0.3])
    roles = [(m["role"], m["content"]) for m in server.requests[1]["messages"][1:]]
    assert roles == [("user", "What time is it?"), ("user", "Wait.")]


def test_an_interruption_while_a_tool_works_leaves_a_dialogue_the_api_takes(
    server: Server,
) -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Slow) as slow:
        threading.Thread(target=slow.serve_forever, args=(0.01,)).start()
        at = f"http://127.0.0.1:{slow.server_port}/"
        tools = [{"name": "slow", "description": "x", "do": {"http": at}}]
        both = [*call("nothing", "{}"), *call("slow", "{}", 1)]
        server.plans = [[text("One moment."), *both, DONE], [text("Yes?"), DONE]]
        talk(server.url, ["Go.", 0.4, "interrupt", "Wait.", 0.4], tools=tools)
        slow.shutdown()
    asked, first, second, last = server.requests[1]["messages"][-4:]
    assert [c["id"] for c in asked["tool_calls"]] == ["call_0", "call_1"]
    assert (first["tool_call_id"], second["tool_call_id"]) == ("call_0", "call_1")
    assert "no tool" in first["content"] and "interrupted" in second["content"]
    assert asked["content"] is None and last["content"] == "Wait."


def test_the_next_turn_ends_the_answer_under_way(server: Server) -> None:
    server.plans = [[5.0, text("Late."), DONE], [text("Now."), DONE]]
    begin = time.monotonic()
    answers, errors, _ = talk(server.url, ["Hi.", 0.3, "Hello?"])
    assert answers == {1: "Now."} and errors == [] and time.monotonic() - begin < 3


@pytest.mark.parametrize(
    "tool",
    [
        LIGHT | {"name": "no spaces"},
        LIGHT | {"parameters": {"type": "array"}},
        LIGHT | {"parameters": {"type": "object", "properties": {"a": {"type": "strnig"}}}},
        LIGHT | {"do": {"shell": "rm"}},
    ],
)
def test_a_tool_that_is_none_is_refused(tool: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        BrainChat.Config(model="m", tools=[tool])
