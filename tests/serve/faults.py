"""A whole gateway with every protocol on it, and clients that misbehave."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket as sockets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from websockets.asyncio.client import ClientConnection, connect

from streamer.graph import Node, Resources
from streamer.serve.deepgram import deepgram
from streamer.serve.gateway import Gateway
from streamer.serve.limits import Limits
from streamer.serve.native import Native
from streamer.serve.openai import openai
from streamer.serve.sessions import Sessions
from streamer.serve.sherpa import sherpa
from streamer.serve.vosk import vosk
from streamer.serve.wyoming import serve_wyoming

from .nodes import CountWords, counting_plan

PATHS = ("/v1/stream", "/vosk", "/sherpa", "/v1/realtime", "/v1/listen")
FRAME = np.zeros(320, "<i2").tobytes()
START, END = '{"type":"start"}', '{"type":"end"}'


@dataclass
class Served:
    port: int
    wyoming: int
    sessions: Sessions

    def url(self, path: str = "/v1/stream") -> str:
        return f"ws://127.0.0.1:{self.port}{path}"

    async def empty(self, seconds: float = 10.0) -> None:
        """Wait until no session is open; fails if one stays."""
        async with asyncio.timeout(seconds):
            while self.sessions.open or self.sessions.admission.active:  # noqa: ASYNC110
                await asyncio.sleep(0.02)

    async def works(self) -> None:
        """A new client gets its words: the server is well."""
        async with connect(self.url()) as socket:
            assert await words(socket, 12) == ["segment 0 samples 3200", "segment 1 samples 3840"]


async def words(socket: ClientConnection, frames: int, pause: float = 0.0) -> list[str]:
    """A whole session: the finals up to ``done``."""
    await socket.send(START)
    for _ in range(frames):
        await socket.send(FRAME)
        await asyncio.sleep(pause)
    await socket.send(END)
    return await finals(socket)


async def finals(socket: ClientConnection) -> list[str]:
    found: list[str] = []
    while True:
        message: dict[str, Any] = json.loads(await asyncio.wait_for(socket.recv(), 20))
        assert message["type"] != "error", message
        if message["type"] == "final":
            found.append(message["text"])
        elif message["type"] == "done":
            return found


@contextlib.asynccontextmanager
async def serving(node: type[Node] = CountWords, **limits: Any) -> AsyncIterator[Served]:
    with sockets.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        wyoming = probe.getsockname()[1]
    sessions = Sessions(counting_plan(node), Limits(**limits), Resources())
    adapters = dict(zip(PATHS, (Native(), vosk, sherpa, openai, deepgram), strict=True))
    server = Gateway(sessions, adapters)
    port = await server.start("127.0.0.1", 0)
    async with serve_wyoming(sessions, "127.0.0.1", wyoming, ["en"]):
        try:
            yield Served(port, wyoming, sessions)
        finally:
            await server.stop(grace=2)
    assert not sessions.open and sessions.admission.active == 0
