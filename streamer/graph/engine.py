"""Runs a checked graph from start to drain."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from streamer.errors import StreamerError
from streamer.graph.channel import Channel
from streamer.graph.packet import Flush, Interrupt
from streamer.graph.plan import GraphPlan
from streamer.graph.resources import Resources
from streamer.graph.runner import Runner
from streamer.graph.tape import Tape
from streamer.graph.watchdog import watch
from streamer.packets import Stamp
from streamer.trace.recorder import Recorder

__all__ = ["Engine", "Report"]

_log = logging.getLogger("streamer.graph")


@dataclass(frozen=True, slots=True)
class Report:
    """Something a node could not do. ``fatal``: the node will not run again."""

    node: str
    error: BaseException
    stamp: Stamp
    fatal: bool = False


class Engine:
    """One session of a graph.

    ``resources`` are the engines shared with other sessions; without them the run has its own.
    ``local`` holds objects that belong to this session, for nodes to find in ``ctx.local``.
    ``on_report`` is called for every error, survived or not; ``on_arrival`` for every packet
    that a sink has worked on. ``tape`` hears of everything that happens, for a recording.
    """

    def __init__(
        self,
        plan: GraphPlan,
        *,
        session: str = "",
        resources: Resources | None = None,
        local: Mapping[str, Any] | None = None,
        recorder: Recorder | None = None,
        on_report: Callable[[Report], None] | None = None,
        on_arrival: Callable[[Any, Stamp], None] | None = None,
        tape: Tape | None = None,
    ) -> None:
        self.plan = plan
        self.session = session
        self.recorder = recorder or Recorder()
        self.generation = 0
        self.paused = False
        """Nodes that play stand still."""
        self.reports: list[Report] = []
        self.channels: Sequence[Channel] = ()
        self.runners: dict[str, Runner] = {}
        self.local = local or {}
        self._shared = resources
        self.resources = resources or Resources()
        self.tape = tape
        self._on_report = on_report
        self.on_arrival = on_arrival
        self._clock: Callable[[], float] = lambda: 0.0
        self._stop_asked = False

    def now_ns(self) -> int:
        """Monotonic nanoseconds of the running loop's clock."""
        return int(self._clock() * 1e9)

    async def run(self) -> None:
        """Start every node, run until all have ended, release everything.

        Raises the error of a node that cannot start, or, once everything else has drained, the
        first error of a node that gave up. Cancelling aborts without draining.
        """
        self._clock = asyncio.get_running_loop().time
        self._wire()
        tasks: list[asyncio.Task[None]] = []
        started = False
        try:
            await self._start()
            started = True
            tasks = [asyncio.create_task(r.run(), name=n) for n, r in self.runners.items()]
            if self._stop_asked:
                self.stop()
            guard = asyncio.create_task(watch(self), name="watchdog")
            tasks.append(guard)
            await asyncio.gather(*tasks[:-1])
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if not started:
                closing = (runner.node.close() for runner in self.runners.values())
                await asyncio.gather(*closing, return_exceptions=True)
            if self._shared is None:
                await self.resources.aclose()
        for report in self.reports:
            if report.fatal:
                raise report.error

    def stop(self) -> None:
        """Graceful end: sources stop, what has been said is worked off. May be called twice."""
        self._stop_asked = True
        for runner in self.runners.values():
            runner.stop()

    def interrupt(self, by: str = "") -> int:
        """Raise the generation: every edge drops interruptible packets of older ones, at once.

        ``by``: the node that does it. Returns the new generation. Nodes hear of it through
        ``on_interrupt``, ahead of any data.
        """
        if self.tape is not None:
            self.tape.signal("interrupt", by)
        self.generation += 1
        self.paused = False
        for channel in self.channels:
            channel.purge(self.generation)
        for runner in self.runners.values():
            runner.inbox.signal(Interrupt(self.generation))
        return self.generation

    def flush(self) -> None:
        """Tell every node to throw away what it has buffered."""
        if self.tape is not None:
            self.tape.signal("flush", "")
        for runner in self.runners.values():
            runner.inbox.signal(Flush())

    def report(self, node: str, error: BaseException, stamp: Stamp, *, fatal: bool = False) -> None:
        """Note an error and pass it to ``on_report``, or to the log."""
        report = Report(node, error, stamp, fatal)
        if len(self.reports) < 1000 or fatal:
            self.reports.append(report)
        if self._on_report is not None:
            self._on_report(report)
        else:
            _log.warning("%s: %s", node, error)

    def _wire(self) -> None:
        self.channels = [Channel(edge, self.now_ns) for edge in self.plan.edges]
        if self.tape is not None:
            self.tape.attach(self)
            for channel in self.channels:
                channel.on_lost = self.tape.lost
        for name, node in self.plan.nodes.items():
            ins = [c for c in self.channels if c.edge.target == name]
            outs = [c for c in self.channels if c.edge.source == name]
            self.runners[name] = Runner(node, self, ins, outs)

    async def _start(self) -> None:
        """Start all nodes side by side; raise the clearest error of those that cannot."""
        starting = (runner.start() for runner in self.runners.values())
        outcomes = await asyncio.gather(*starting, return_exceptions=True)
        errors = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        if not errors:
            return
        known = [error for error in errors if isinstance(error, StreamerError)]
        raise (known or errors)[0]
