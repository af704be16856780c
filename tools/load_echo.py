"""The gateway alone: a graph that tells every frame back, and clients that hardly cost anything.

The clients are of picows, which takes a tenth of the time of the library under test: they share
the machine with the service.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from streamer.graph import Edge, GraphPlan, In, Node, NodePlan, Out, QueueSpec
from streamer.nodes.session import SinkSession, SourceSession
from streamer.packets import AudioFrame, Transcript
from streamer.serve.fleet import Fleet
from streamer.serve.limits import Limits
from streamer.serve.peers import Peers
from streamer.serve.service import Settings, serve, serve_handed

__all__ = ["Ear", "echo_server", "talk"]

RATE = 16000
FRAME = 0.02
SAMPLES = int(RATE * FRAME)


class Echo(Node):
    """Tells how far the sound has come, frame by frame."""

    kind = "tools.echo"
    audio: In[AudioFrame]
    out: Out[Transcript]

    async def process(self, frame: AudioFrame) -> None:
        await self.out.send(Transcript(str(frame.end), 0.0, frame.end / RATE, frame.end))


def plan() -> GraphPlan:
    """client -> echo -> client."""
    nodes = {
        "in": NodePlan("in", SourceSession, SourceSession.Config()),
        "echo": NodePlan("echo", Echo, Echo.Config()),
        "out": NodePlan("out", SinkSession, SinkSession.Config()),
    }
    edges = [
        Edge(a, nodes[a].cls.ports()[1][o], b, nodes[b].cls.ports()[0][i], QueueSpec())
        for a, o, b, i in (("in", "audio", "echo", "audio"), ("echo", "out", "out", "events"))
    ]
    return GraphPlan("echo", nodes, edges)


@dataclass(frozen=True)
class Worker:
    """One process of several."""

    settings: Settings
    count: int
    folder: Path

    def __call__(self, number: int, wire: socket.socket) -> None:
        settings = replace(self.settings, peers=Peers(number, self.count, self.folder))
        asyncio.run(serve_handed(plan(), settings, wire))


async def echo_server(sessions: int, processes: int) -> None:
    """Serve until SIGTERM; the address goes to standard error."""
    settings = Settings(port=0, limits=Limits(sessions=sessions, queue=0))
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with _started(settings, processes) as port:
        print(f"ws://127.0.0.1:{port}/v1/stream", file=sys.stderr, flush=True)
        await stop.wait()


@contextlib.asynccontextmanager
async def _started(settings: Settings, processes: int) -> AsyncIterator[int]:
    if processes == 1:
        async with serve(plan(), settings) as (_, port):
            yield port
        return
    with tempfile.TemporaryDirectory() as folder:
        fleet = Fleet(processes, Worker(settings, processes, Path(folder)))
        async with fleet.serve(settings.host, settings.port, settings.grace) as port:
            yield port


class Ear(WSListener):
    """One client: when its frames were sent, and how long it took until they were told back."""

    def __init__(self) -> None:
        self.sent: dict[int, float] = {}
        self.added: list[float] = []
        self.ready, self.closed = asyncio.Event(), asyncio.Event()
        self.transport: WSTransport | None = None

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport
        start = {"type": "start", "version": 1, "format": "s16le", "rate": RATE, "channels": 1}
        transport.send(WSMsgType.TEXT, json.dumps(start).encode())

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        now = time.monotonic()
        if frame.msg_type != WSMsgType.TEXT:
            if frame.msg_type == WSMsgType.CLOSE:
                transport.disconnect()
            return
        event = json.loads(frame.get_payload_as_bytes())
        if event["type"] == "partial":
            self.added.append(now - self.sent.pop(int(event["text"])))
        elif event["type"] == "ready":
            self.ready.set()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self.closed.set()

    def speak(self, number: int, data: bytes) -> None:
        """Send frame ``number``, counted from 1."""
        assert self.transport is not None
        self.sent[number * SAMPLES] = time.monotonic()
        self.transport.send(WSMsgType.BINARY, data)


async def talk(url: str, clients: int, seconds: float, ramp: float) -> dict[str, Any]:
    """Added latency of each 20 ms frame from being sent to being told back.

    The clients send in turn, evenly spread over the 20 ms; what was sent in the first two seconds
    does not count.
    """
    ears = []
    for _ in range(clients):
        _, ear = await ws_connect(Ear, url, enable_auto_ping=False)
        ears.append(ear)
        await asyncio.sleep(ramp / clients)
    await asyncio.gather(*(ear.ready.wait() for ear in ears))
    frames, data = int(seconds / FRAME), bytes(2 * SAMPLES)
    began, late = time.monotonic(), list[float]()
    for number in range(1, frames + 1):
        if number == int(2 / FRAME):
            for ear in ears:
                ear.added.clear()
        for place, ear in enumerate(ears):
            due = began + (number + place / clients) * FRAME
            now = time.monotonic()
            if due - now > 0.0005:
                await asyncio.sleep(due - now)
            elif place % 16 == 0:
                await asyncio.sleep(0)
            late.append(max(0.0, time.monotonic() - due))
            ear.speak(number, data)
    for ear in ears:
        assert ear.transport is not None
        ear.transport.send(WSMsgType.TEXT, b'{"type":"end"}')
    async with asyncio.timeout(60):
        await asyncio.gather(*(ear.closed.wait() for ear in ears))
    return {
        "clients": clients,
        "frames": frames * clients,
        "coalesced": sum(len(ear.sent) for ear in ears),
        "added": [x for ear in ears for x in ear.added],
        "late": late,
    }
