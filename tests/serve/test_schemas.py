"""What the server really sends, and docs/protocol.schema.json."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from streamer.graph import Out
from streamer.packets import AudioEvent, AudioFrame, SpeechSpan, Transcript, Word
from streamer.serve.schemas import schema

from .nodes import CountWords
from .test_native import FRAME, gateway

PAGE = Path(__file__).parents[2] / "docs" / "protocol.schema.json"
SCHEMA = json.loads(PAGE.read_text())


def validator(side: str) -> Any:
    whole = {"$defs": SCHEMA["$defs"], "$ref": f"#/$defs/{side}"}
    return jsonschema.Draft202012Validator(whole)


def test_the_page_is_made_from_the_code() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert schema() == SCHEMA, "python -m streamer.serve.schemas > docs/protocol.schema.json"


class Talks(CountWords):
    """Every kind of event that a graph can send to a client."""

    out: Out[Transcript | SpeechSpan | AudioEvent]

    async def process(self, frame: AudioFrame) -> None:
        await self.out.send(SpeechSpan("start", 0, 0.1))
        await self.out.send(SpeechSpan("pause", 0, 0.1, None, 0.2))
        await self.out.send(SpeechSpan("end", 0, 0.1, 0.25, 0.2))
        await self.out.send(AudioEvent("keyword", "computer", "instant", 0.1, 0.2, 0.7))
        await self.out.send(AudioEvent("sound", "Dog bark", "start", 0.1))
        words = (Word("one", 0.1, 0.15, 0.5), Word("two", 0.15, 0.2, 1.0))
        await self.out.send(Transcript("one two", 0.1, 0.2, 0, 1, 3, False, words))
        await asyncio.sleep(0.1)
        await self.out.send(Transcript("one two", 0.1, 0.2, 0, 2, 7, True, words))

    async def on_mark(self, mark: str) -> None:
        pass


class Fails(CountWords):
    async def process(self, frame: AudioFrame) -> None:
        raise ValueError("no")


def test_all_that_the_server_sends_fits() -> None:
    fits = validator("server")
    seen: set[tuple[str, str]] = set()

    async def talk(url: str, *orders: str | bytes) -> None:
        async with connect(url) as socket:
            for order in orders:
                await socket.send(order)
            while True:
                try:
                    message = json.loads(await asyncio.wait_for(socket.recv(), 10))
                except ConnectionClosed:
                    return
                fits.validate(message)
                seen.add((message["type"], str(message.get("state", message.get("code", "")))))

    async def main() -> None:
        start, end = '{"type":"start"}', '{"type":"end"}'
        async with gateway(node=Talks) as (_, url):
            await talk(url, start, FRAME, '{"type":"mark","id":"ü"}', '{"type":"keep_alive"}', end)
            await talk(url, '{"type":"start","version":9}')
        async with gateway(node=Fails) as (_, url):
            await talk(url, start, FRAME, end)

    asyncio.run(main())
    kinds = ("ready", "partial", "final", "mark", "done")
    spans = {("speech", state) for state in ("start", "pause", "end")}
    errors = {("error", "serve.version"), ("error", "node.failed")}
    events = {("event", "instant"), ("event", "start")}
    assert seen == {(kind, "") for kind in kinds} | spans | events | errors


@pytest.mark.parametrize(
    ("message", "fits"),
    [
        ({"type": "start"}, True),
        ({"type": "start", "format": "ogg", "resume": {"session": "a", "seq": 0}}, True),
        ({"type": "start", "format": "mp3"}, False),
        ({"type": "start", "rate": "16000"}, False),
        ({"type": "mark", "id": "x"}, True),
        ({"type": "mark", "id": 7}, False),
        ({"type": "mark", "id": "x" * 65}, False),
        ({"type": "keep_alive"}, True),
        ({"type": "end"}, True),
        ({"type": "end", "now": True}, False),
        ({"type": "rewind"}, False),
        ({}, False),
    ],
)
def test_the_server_takes_what_the_schema_allows_and_refuses_the_rest(
    message: dict[str, Any], fits: bool
) -> None:
    assert validator("client").is_valid(message) is fits
    if message.get("resume"):
        return

    async def main() -> str:
        async with gateway() as (_, url), connect(url) as socket:
            if message.get("type") != "start":
                await socket.send('{"type":"start"}')
                await socket.recv()
            await socket.send(json.dumps(message))
            if message.get("type") in ("mark", "keep_alive"):
                await socket.send('{"type":"end"}')
            return str(json.loads(await asyncio.wait_for(socket.recv(), 10))["type"])

    assert (asyncio.run(main()) != "error") is fits
