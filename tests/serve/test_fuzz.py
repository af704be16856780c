"""Anything may come over the wire: the server stays up, says why, and keeps no session."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from streamer.errors import InputError
from streamer.serve.messages import parse_object
from streamer.serve.wyoming import read_event

from .faults import PATHS, Served, serving

CLOSED = (1000, 1001, 1003, 1007, 1008, 1009)
"""How a server may end a conversation with a client that talks nonsense; 1011 is a fault."""

TYPES = [
    *("start", "mark", "keep_alive", "end"),
    *("session.update", "transcription_session.update", "input_audio_buffer.append"),
    *("input_audio_buffer.commit", "input_audio_buffer.clear"),
    *("KeepAlive", "Finalize", "CloseStream"),
]
KEYS = [
    *("version", "format", "rate", "channels", "resume", "id", "seq", "audio", "session"),
    *("config", "eof", "reset", "sample_rate", "words", "max_alternatives", "input", "type"),
    *("input_audio_format", "now"),
]
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from([0, 1, 8000, 16000, "s16le", "f32le", "ogg", "pcm16", "audio/pcm", "AAAA"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=3)
    ),
    max_leaves=6,
)
NEAR = st.builds(
    lambda kind, rest: json.dumps({"type": kind, **rest}),
    st.sampled_from(TYPES),
    st.dictionaries(st.sampled_from(KEYS[:-3]), VALUES, max_size=4),
)
GOOD = st.sampled_from(
    [
        '{"type":"start"}',
        '{"type":"start","format":"f32le","rate":48000,"channels":2}',
        '{"type":"start","format":"ogg"}',
        '{"type":"start","resume":{"session":"0","seq":0}}',
        '{"type":"mark","id":"a"}',
        '{"type":"end"}',
        '{"config":{"sample_rate":16000}}',
        '{"reset":1}',
        '{"eof":1}',
        "Done",
        '{"type":"Finalize"}',
        '{"type":"CloseStream"}',
        '{"type":"input_audio_buffer.append","audio":"AAAAAAAA"}',
        '{"type":"input_audio_buffer.commit"}',
        '{"type":"input_audio_buffer.clear"}',
        '{"type":"session.update","session":{"audio":{"input":{"format":"pcm16"}}}}',
    ]
)
AUDIO = st.binary(max_size=64) | st.sampled_from(
    [bytes(640), b"OggS" + bytes(60), np.full(160, np.nan, "<f4").tobytes()]
)
MESSAGES = st.lists(GOOD | AUDIO | NEAR | st.text(max_size=30), max_size=8)
QUERIES = st.dictionaries(
    st.sampled_from(["encoding", "sample_rate", "channels", "model", "utterance_end_ms", "x"]),
    st.sampled_from(["linear16", "mulaw", "16000", "1e9", "-1", "nan", "", "\u00fc", "1"]),
    max_size=3,
)


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[asyncio.Runner, Served]]:
    with asyncio.Runner() as runner:
        stack = contextlib.AsyncExitStack()
        limits: dict[str, Any] = {"idle": 0.2, "resume": 0.05, "sessions": 4}
        yield runner, runner.run(stack.enter_async_context(serving(**limits)))
        runner.run(stack.aclose())


@pytest.fixture(scope="module")
def mistakes() -> Iterator[list[str]]:
    """What the server logged as its own fault."""
    found: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append(self.format(record))

    logger, keeper = logging.getLogger("streamer.serve"), Keep(logging.ERROR)
    logger.addHandler(keeper)
    yield found
    logger.removeHandler(keeper)


FEW = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.mark.parametrize("path", PATHS)
@FEW
@given(messages=MESSAGES, query=QUERIES, drop=st.booleans())
def test_no_conversation_breaks_the_server(
    served: tuple[asyncio.Runner, Served],
    mistakes: list[str],
    path: str,
    messages: list[str | bytes],
    query: dict[str, str],
    drop: bool,
) -> None:
    runner, server = served
    address = f"{server.url(path)}?{'&'.join(f'{k}={v}' for k, v in query.items())}"

    async def converse() -> None:
        async with connect(address.encode("ascii", "ignore").decode()) as socket:
            with contextlib.suppress(ConnectionClosed):
                for message in messages:
                    await socket.send(message)
                if drop:
                    socket.transport.abort()
                # Behind `Done!` sherpa-onnx leaves closing to the client.
                while await asyncio.wait_for(socket.recv(), 5) != "Done!":
                    pass
        if not drop:
            assert socket.close_code in CLOSED, (socket.close_code, socket.close_reason)
        await server.empty(5)

    runner.run(converse())
    assert not mistakes


@FEW
@given(text=st.text(max_size=200) | NEAR | VALUES.map(json.dumps), depth=st.integers(2, 8))
def test_the_parser_gives_an_object_or_a_reason(text: str, depth: int) -> None:
    try:
        value = parse_object(text, max_depth=depth)
    except InputError as error:
        assert error.code == "serve.bad-message"
    else:
        assert value == json.loads(text) or "NaN" in text


def _depth(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(_depth, value.values()), default=0)
    return 1 + max(map(_depth, value), default=0) if isinstance(value, list) else 0


@FEW
@given(value=st.dictionaries(st.text(max_size=3), VALUES, max_size=3), limit=st.integers(1, 5))
def test_nothing_deeper_than_the_limit_comes_through(value: dict[str, Any], limit: int) -> None:
    text = json.dumps(value)
    if _depth(value) > limit:
        with pytest.raises(InputError):
            parse_object(text, max_depth=limit)


LINES = st.dictionaries(
    st.sampled_from(["type", "data", "data_length", "payload_length"]), VALUES
).map(lambda head: json.dumps(head).encode() + b"\n")


@FEW
@given(parts=st.lists(st.binary(max_size=50) | LINES, max_size=5))
def test_the_wyoming_parser_gives_an_event_or_a_reason(parts: list[bytes]) -> None:
    async def main() -> None:
        reader = asyncio.StreamReader()
        reader.feed_data(b"".join(parts))
        reader.feed_eof()
        with contextlib.suppress(InputError, asyncio.IncompleteReadError):
            while (event := await read_event(reader, 1000, 8)) is not None:
                assert isinstance(event.type, str) and isinstance(event.data, dict)

    asyncio.run(main())


@FEW
@given(
    parts=st.lists(
        st.binary(max_size=60)
        | LINES
        | st.just(
            b'{"type":"audio-chunk","data":{"rate":16000,"width":2,"channels":1},"payload_length":4}\nabcd'
        )
        | st.sampled_from([b'{"type":"audio-stop"}\n', b'{"type":"ping"}\n']),
        max_size=5,
    )
)
def test_nothing_over_wyoming_breaks_the_server(
    served: tuple[asyncio.Runner, Served], mistakes: list[str], parts: list[bytes]
) -> None:
    runner, server = served

    async def converse() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.wyoming)
        writer.write(b"".join(parts))
        writer.write_eof()
        with contextlib.suppress(ConnectionError):
            await asyncio.wait_for(reader.read(), 5)
        writer.close()
        await server.empty(5)

    runner.run(converse())
    assert not mistakes
