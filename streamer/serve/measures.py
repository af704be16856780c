"""The metrics of a service: ``/metrics``."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, Final

from streamer.batching import EngineStats
from streamer.graph import ChannelStats
from streamer.packets import Stamp
from streamer.serve.gateway import Page
from streamer.serve.sessions import Session, Sessions
from streamer.trace.engines import EngineMetrics
from streamer.trace.latency import LatencyWatch
from streamer.trace.prometheus import CONTENT_TYPE, Metrics

__all__ = ["Measures"]

_BEAT: Final = 0.05
"""Seconds between two looks at the event loop; every block longer than this is seen."""


class Measures:
    """Watches the sessions; :meth:`page` shows what was seen."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._edges: list[ChannelStats] = []
        self._engines: list[EngineStats] = []
        self._watches: dict[str, LatencyWatch] = {}
        self.metrics = metrics = Metrics(sessions.recorder, lambda: self._edges)
        metrics.registry.register(EngineMetrics(lambda: self._engines))
        admission = sessions.admission
        now = (
            ("streamer_sessions", "Sessions open now.", lambda: admission.active),
            ("streamer_sessions_waiting", "Connections waiting now.", lambda: admission.waiting),
        )
        for name, text, read in now:
            metrics.gauge(name, text).set_function(read)
        metrics.count("streamer_sessions_admitted", "Sessions opened.", lambda: admission.admitted)
        metrics.count("streamer_sessions_refused", "Clients refused.", lambda: admission.refused)
        self._ended = metrics.counter(
            "streamer_sessions_ended", "Sessions that ended, and how.", ["outcome"]
        )
        for outcome in ("ended", "failed", "aborted"):
            self._ended.labels(outcome)
        self._audio = metrics.counter(
            "streamer_audio_seconds", "Audio taken in by sessions that ended."
        )
        self._latency = {
            "first_partial": metrics.histogram(
                "streamer_first_partial_seconds",
                "From the start of the speech to its first partial at a sink.",
                ["graph"],
            ).labels(sessions.plan.name),
            "final": metrics.histogram(
                "streamer_final_seconds",
                "From the end of the last word to the final at a sink.",
                ["graph"],
            ).labels(sessions.plan.name),
        }
        self._lag = metrics.histogram(
            "streamer_event_loop_lag_seconds", "How late the event loop was, looked at every 50 ms."
        )
        sessions.watchers.append(self)

    def opened(self, session: Session) -> None:
        self._watches[session.id] = LatencyWatch()

    def arrived(self, session: Session, value: Any, stamp: Stamp) -> None:
        found = self._watches[session.id].arrived(value, stamp, session.engine.now_ns())
        for milestone, seconds in found.items():
            self._latency[milestone].observe(seconds)

    def closed(self, session: Session) -> None:
        del self._watches[session.id]
        self._ended.labels(session.outcome).inc()
        self._audio.inc(session.audio)
        self.metrics.retire([channel.stats() for channel in session.engine.channels])

    async def watch_loop(self) -> None:
        """Look at the event loop until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + _BEAT
            await asyncio.sleep(_BEAT)
            self._lag.observe(max(0.0, loop.time() - due))

    def page(self) -> Page:
        """The page for ``/metrics``, which needs a key where keys are used."""
        return Page(self._render, CONTENT_TYPE, open=False)

    async def _render(self) -> bytes:
        self._edges[:] = self._open_edges()
        self._engines[:] = [
            stats
            for thing in self._sessions.resources.built()
            for stats in getattr(thing, "stats", ())
        ]
        return await asyncio.to_thread(self.metrics.render)

    def _open_edges(self) -> Iterator[ChannelStats]:
        for session in self._sessions.open.values():
            for channel in session.engine.channels:
                yield channel.stats()
