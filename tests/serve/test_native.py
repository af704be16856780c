"""The native protocol over a real socket."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import threading
from collections.abc import AsyncIterator
from typing import Any

import av
import numpy as np
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from streamer.graph import Resources
from streamer.serve.auth import Keys
from streamer.serve.gateway import Gateway
from streamer.serve.limits import Limits
from streamer.serve.native import Native
from streamer.serve.sessions import Sessions

from .nodes import CountWords, counting_plan

FRAME = np.zeros(320, "<i2").tobytes()


@contextlib.asynccontextmanager
async def gateway(**settings: Any) -> AsyncIterator[tuple[Gateway, str]]:
    keys = settings.pop("keys", Keys())
    node = settings.pop("node", CountWords)
    sessions = Sessions(counting_plan(node), Limits(**settings), Resources())
    server = Gateway(sessions, {"/v1/stream": Native()}, keys=keys)
    port = await server.start("127.0.0.1", 0)
    try:
        yield server, f"ws://127.0.0.1:{port}/v1/stream"
    finally:
        await server.stop(grace=2)
        assert not sessions.open and sessions.admission.active == 0


async def begin(socket: ClientConnection, **start: Any) -> dict[str, Any]:
    await socket.send(json.dumps({"type": "start", **start}))
    return await read(socket)


async def read(socket: ClientConnection) -> dict[str, Any]:
    message = json.loads(await asyncio.wait_for(socket.recv(), 10))
    assert isinstance(message, dict)
    return message


async def read_until(socket: ClientConnection, kind: str) -> list[dict[str, Any]]:
    messages = [await read(socket)]
    while messages[-1]["type"] != kind:
        messages.append(await read(socket))
    return messages


def finals(messages: list[dict[str, Any]]) -> list[str]:
    return [m["text"] for m in messages if m["type"] == "final"]


def test_a_session_from_start_to_done() -> None:
    async def main() -> None:
        async with gateway() as (_, url), connect(url) as socket:
            ready = await begin(socket)
            assert ready["type"] == "ready" and ready["version"] == 1
            for _ in range(25):
                await socket.send(FRAME)
            await socket.send('{"type":"end"}')
            messages = await read_until(socket, "done")
            assert [m["seq"] for m in messages] == list(range(1, len(messages) + 1))
            assert finals(messages) == [
                "segment 0 samples 3200",
                "segment 1 samples 6400",
                "segment 2 samples 8000",
            ]
            assert messages[-1]["audio"] == 0.5
            assert all(m["latency_ms"] >= 0 for m in messages[:-1])
            with pytest.raises(ConnectionClosed) as closed:
                await socket.recv()
            assert closed.value.rcvd is not None and closed.value.rcvd.code == 1000

    asyncio.run(main())


def test_a_mark_is_answered_behind_what_was_sent_before_it() -> None:
    async def main() -> None:
        async with gateway() as (_, url), connect(url) as socket:
            await begin(socket)
            for _ in range(3):
                await socket.send(FRAME)
            await socket.send('{"type":"mark","id":"x"}')
            await socket.send(FRAME)
            messages = await read_until(socket, "mark")
            assert messages[-1]["id"] == "x"
            assert finals(messages) == ["segment 0 samples 960"]

    asyncio.run(main())


def test_a_dropped_connection_is_resumed_without_losing_a_word() -> None:
    async def main() -> None:
        async with gateway(resume=5) as (_, url):
            seen: list[dict[str, Any]] = []
            socket = await connect(url)
            ready = await begin(socket)
            for _ in range(15):
                await socket.send(FRAME)
            seen += await read_until(socket, "final")
            socket.transport.abort()
            await asyncio.sleep(0.3)
            async with connect(url) as again:
                resume = {"session": ready["session"], "seq": seen[-1]["seq"]}
                back = await begin(again, resume=resume)
                assert back["session"] == ready["session"] and back["received"] == 15 * len(FRAME)
                for _ in range(10):
                    await again.send(FRAME)
                await again.send('{"type":"end"}')
                seen += await read_until(again, "done")
            assert finals(seen) == [
                "segment 0 samples 3200",
                "segment 1 samples 6400",
                "segment 2 samples 8000",
            ]
            assert len({m["seq"] for m in seen}) == len(seen)

    asyncio.run(main())


def test_a_session_nobody_comes_back_to_is_closed() -> None:
    async def main() -> None:
        async with gateway(resume=0.2) as (server, url):
            socket = await connect(url)
            ready = await begin(socket)
            socket.transport.abort()
            await asyncio.sleep(0.6)
            assert not server.sessions.open
            async with connect(url) as again:
                error = await begin(again, resume={"session": ready["session"], "seq": 0})
                assert error["code"] == "serve.no-session"

    asyncio.run(main())


def test_a_full_server_refuses_with_503_and_a_time() -> None:
    async def main() -> None:
        async with gateway(sessions=1, queue=0) as (_, url), connect(url) as socket:
            await begin(socket)
            with pytest.raises(InvalidStatus) as refused:
                await connect(url)
            assert refused.value.response.status_code == 503
            assert refused.value.response.headers["Retry-After"]

    asyncio.run(main())


def test_keys_are_asked_for(tmp_path: Any) -> None:
    key, line = Keys.new("me")
    (tmp_path / "keys").write_text(f"# keys\n{line}\n")

    keys = Keys(tmp_path / "keys")

    async def main() -> None:
        async with gateway(keys=keys) as (_, url):
            for bad in ({}, {"Authorization": "Bearer nonsense"}):
                with pytest.raises(InvalidStatus) as refused:
                    await connect(url, additional_headers=bad)
                assert refused.value.response.status_code == 401
            for good in (
                connect(url, additional_headers={"Authorization": f"Bearer {key}"}),
                connect(f"{url}?token={key}"),
            ):
                async with good as socket:
                    assert (await begin(socket))["type"] == "ready"

    asyncio.run(main())


@pytest.mark.parametrize(
    ("first", "code"),
    [
        ("not json", "serve.bad-message"),
        ("[1]", "serve.bad-message"),
        ("[" * 50 + "]" * 50, "serve.bad-message"),
        ('{"type":"start","version":2}', "serve.version"),
        ('{"type":"start","rate":"fast"}', "serve.bad-message"),
        ('{"type":"start","surprise":1}', "serve.bad-message"),
        ('{"type":"start","format":"mp3"}', "serve.bad-format"),
        ('{"type":"start","rate":44}', "serve.bad-format"),
        (b"\0\0", "serve.no-start"),
    ],
)
def test_a_bad_start_is_refused_with_the_reason(first: str | bytes, code: str) -> None:
    async def main() -> None:
        async with gateway() as (_, url), connect(url) as socket:
            await socket.send(first)
            error = await read(socket)
            assert error["type"] == "error" and error["code"] == code
            with pytest.raises(ConnectionClosed):
                await socket.recv()

    asyncio.run(main())


def test_an_idle_client_is_closed() -> None:
    async def main() -> None:
        async with gateway(idle=0.2) as (_, url), connect(url) as socket:
            await begin(socket)
            assert (await read(socket))["code"] == "serve.idle"

    asyncio.run(main())


def test_shutting_down_finishes_what_was_said() -> None:
    async def main() -> None:
        async with gateway() as (server, url), connect(url) as socket:
            await begin(socket)
            for _ in range(5):
                await socket.send(FRAME)
            await read(socket)
            await asyncio.sleep(0.1)
            stopping = asyncio.create_task(server.stop(grace=5))
            messages = await read_until(socket, "done")
            assert finals(messages) == ["segment 0 samples 1600"]
            await stopping

    asyncio.run(main())


class Thinking(CountWords):
    async def finish(self) -> None:
        await asyncio.sleep(0.4)
        await super().finish()


def test_the_end_said_twice_and_finals_that_come_while_the_client_is_away_are_kept() -> None:
    async def main() -> None:
        async with gateway(resume=5, node=Thinking) as (_, url):
            socket = await connect(url)
            ready = await begin(socket)
            for _ in range(3):
                await socket.send(FRAME)
            await socket.send('{"type":"end"}')
            await asyncio.sleep(0.1)
            socket.transport.abort()
            await asyncio.sleep(0.8)
            async with connect(url) as again:
                await begin(again, resume={"session": ready["session"], "seq": 0})
                with contextlib.suppress(ConnectionClosed):  # all may have been sent already
                    await again.send('{"type":"end"}')
                assert finals(await read_until(again, "done")) == ["segment 0 samples 960"]

    asyncio.run(main())


def test_clients_killed_in_the_middle_of_a_container_give_everything_back() -> None:
    async def main() -> None:
        async with gateway(resume=0.1) as (server, url):
            before = threading.active_count()
            for _ in range(8):
                socket = await connect(url)
                await begin(socket, format="ogg")
                await socket.send(b"OggS")
                socket.transport.abort()
            await asyncio.sleep(0.8)
            assert not server.sessions.open
            assert threading.active_count() <= before
            assert await asyncio.wait_for(asyncio.to_thread(lambda: 1), 3) == 1

    asyncio.run(main())


def test_rubbish_in_a_container_is_refused_and_leaves_nothing() -> None:
    async def main() -> None:
        async with gateway() as (server, url):
            async with connect(url) as socket:
                await begin(socket, format="ogg")
                await socket.send(b"garbage" * 100)
                await socket.send('{"type":"end"}')
                assert (await read(socket))["code"] == "serve.bad-format"
            await asyncio.sleep(0.2)
            assert not server.sessions.open

    asyncio.run(main())


def test_opus_in_ogg_as_browsers_record_it_is_decoded() -> None:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="ogg") as container:
        stream = container.add_stream("libopus", rate=48000)
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 48000), "<i2"), "s16", "mono")
        silence.sample_rate = 48000
        container.mux(stream.encode(silence))
        container.mux(stream.encode(None))

    async def main() -> None:
        async with gateway() as (_, url), connect(url) as socket:
            await begin(socket, format="ogg")
            data = buffer.getvalue()
            for at in range(0, len(data), 50):
                await socket.send(data[at : at + 50])
            await socket.send('{"type":"end"}')
            done = (await read_until(socket, "done"))[-1]
            assert done["audio"] == pytest.approx(1.0, abs=0.05)

    asyncio.run(main())


def test_half_a_character_in_a_mark_is_refused() -> None:
    async def main() -> None:
        async with gateway() as (_, url), connect(url) as socket:
            await begin(socket)
            await socket.send('{"type":"mark","id":"\\ud800"}')
            assert (await read(socket))["code"] == "serve.bad-message"

    asyncio.run(main())
