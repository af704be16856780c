"""One of several processes of ``streamer serve``."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from streamer.cli._otel import tracer_for
from streamer.graph.build import load_graph
from streamer.nodes import registry
from streamer.serve.peers import Peers
from streamer.serve.service import Settings, serve_handed

__all__ = ["Worker"]


@dataclass(frozen=True)
class Worker:
    """What a process needs to serve its share; calling it serves until SIGTERM."""

    graph: Path
    variables: Mapping[str, str]
    settings: Settings
    otel: str
    count: int
    folder: Path
    """For the sockets through which the processes talk to each other."""

    def __call__(self, number: int, wire: socket.socket) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started this
        plan = load_graph(self.graph, registry(), settings=self.variables)
        with tracer_for(self.otel) as tracer:
            asyncio.run(serve_handed(plan, replace(self._share(number), tracer=tracer), wire))

    def _share(self, number: int) -> Settings:
        limits, count = self.settings.limits, self.count
        share = {"sessions": -(-limits.sessions // count), "queue": -(-limits.queue // count)}
        return replace(
            self.settings,
            limits=limits.model_copy(update=share),
            wyoming_port=self.settings.wyoming_port if number == 0 else None,
            peers=Peers(number, count, self.folder),
        )
