"""Sessions of a served graph: opened, fed, read, ended; all sharing the same engines."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Protocol

from streamer.errors import StreamerError
from streamer.graph import Engine, GraphPlan, Report, Resources
from streamer.nodes.session import Delivery, SessionPort
from streamer.packets import Samples, Stamp
from streamer.serve.admission import Admission
from streamer.serve.limits import Limits
from streamer.trace import Recorder

__all__ = ["Session", "Sessions", "Watcher"]


class Session:
    """One client's run of the graph."""

    def __init__(
        self,
        plan: GraphPlan,
        resources: Resources,
        recorder: Recorder,
        limits: Limits,
        rate: int,
        watchers: Sequence[Watcher] = (),
        name: Callable[[str], str] = str,
    ) -> None:
        self.id = name(secrets.token_hex(8))
        self.began = time.monotonic()
        self.audio = 0.0
        """Seconds of audio fed."""
        self.failure: StreamerError | None = None
        self.limits = limits
        self.port = SessionPort(max_audio=limits.ahead, rate=rate)
        self.engine = Engine(
            plan,
            session=self.id,
            resources=resources,
            recorder=recorder,
            local={"session": self.port},
            on_report=self._on_report,
            on_arrival=self._on_arrival,
        )
        self._watchers = watchers
        self.reports: list[Report] = []
        self.outcome = "ended"
        """``ended``, ``failed``, or ``aborted``: the client left, or it took too long."""
        self._task = asyncio.create_task(self._run(), name=f"session {self.id}")

    async def _run(self) -> None:
        try:
            await self.engine.run()
        except StreamerError as error:
            self.failure, self.outcome = error, "failed"
        finally:
            await self.port.finish()

    def _on_report(self, report: Report) -> None:
        if len(self.reports) < 100:
            self.reports.append(report)

    def _on_arrival(self, value: Any, stamp: Stamp) -> None:
        for watcher in self._watchers:
            watcher.arrived(self, value, stamp)

    async def feed(self, samples: Samples) -> None:
        """Hand in audio at the session's rate. Raises when a bound of the session is passed."""
        seconds = samples.shape[0] / self.port.rate
        limits, age = self.limits, time.monotonic() - self.began
        if limits.audio and self.audio + seconds > limits.audio:
            raise StreamerError(
                f"This session may send {limits.audio:g} s of audio, and has.", code="serve.audio"
            )
        if limits.speed and self.audio + seconds > limits.speed * age + limits.ahead:
            await asyncio.sleep((self.audio + seconds - limits.ahead) / limits.speed - age)
        self.audio += seconds
        await self.port.feed(samples, self.engine.now_ns())

    async def deliveries(self) -> AsyncIterator[Delivery]:
        """Everything for the client until the graph has ended."""
        while (delivery := await self.port.deliver()) is not None:
            yield delivery

    async def end(self) -> None:
        """No more audio; the deliveries end when all of it has been worked off."""
        await self.port.end()

    async def abort(self) -> None:
        """Stop at once and forget what is open."""
        if self.running:
            self.outcome = "aborted"
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def ended(self) -> None:
        """Until the graph has ended."""
        await asyncio.gather(asyncio.shield(self._task), return_exceptions=True)

    @property
    def running(self) -> bool:
        return not self._task.done()


class Watcher(Protocol):
    """Somebody who looks on: metrics, traces."""

    def opened(self, session: Session) -> None: ...

    def arrived(self, session: Session, value: Any, stamp: Stamp) -> None:
        """A sink of the session has worked on ``value``."""

    def closed(self, session: Session) -> None:
        """The session has ended; ``session.outcome`` says how."""


class Sessions:
    """All sessions of one served graph."""

    def __init__(
        self,
        plan: GraphPlan,
        limits: Limits,
        resources: Resources,
        name: Callable[[str], str] = str,
    ) -> None:
        self.plan = plan
        self._name = name
        """Makes a session's name of a random one."""
        self.limits = limits
        self.resources = resources
        self.admission = Admission(limits.sessions, limits.queue, limits.wait)
        self.recorder = Recorder()
        self.open: dict[str, Session] = {}
        self.closing: set[asyncio.Event] = set()
        """Set when the server drains, for adapters that hold sessions of absent clients."""
        self.watchers: list[Watcher] = []
        self.keep_spans = False
        """Whether each session keeps the spans of its own packets, for traces."""

    @contextlib.asynccontextmanager
    async def session(self, rate: int) -> AsyncIterator[Session]:
        """A session for audio at ``rate`` Hz, aborted if still running when the block ends.

        Raises :class:`~streamer.serve.admission.RefusedError` when there is no room.
        """
        await self.admission.enter()
        try:
            recorder = self.recorder.child() if self.keep_spans else self.recorder
            session = Session(
                self.plan,
                self.resources,
                recorder,
                self.limits,
                rate,
                self.watchers,
                self._name,
            )
            self.open[session.id] = session
            try:
                for watcher in self.watchers:
                    watcher.opened(session)
                yield session
            finally:
                try:
                    await session.abort()
                finally:
                    del self.open[session.id]
                    for watcher in self.watchers:
                        watcher.closed(session)
        finally:
            self.admission.leave()

    async def drain(self, grace: float) -> None:
        """Admit nobody, end every session's audio, wait until they are done or ``grace`` s."""
        self.admission.close()
        sessions = list(self.open.values())
        for session in sessions:
            await session.end()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace):
                await asyncio.gather(*(session.ended() for session in sessions))
        for event in self.closing:
            event.set()
        for session in sessions:
            await session.abort()
