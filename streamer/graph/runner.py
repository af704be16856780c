"""Runs one node: feeds it packets, measures it, restarts it, ends it."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from streamer.errors import NodeError, StreamerError
from streamer.graph.channel import Channel
from streamer.graph.inbox import Inbox
from streamer.graph.node import Node, Source
from streamer.graph.packet import Flush, Interrupt, Mark, Packet, Signal, interruptible
from streamer.graph.plan import NodePlan
from streamer.graph.ports import PortSpec
from streamer.packets import Stamp
from streamer.trace.recorder import AGE, BLOCKED, WAIT, WORK

if TYPE_CHECKING:
    from streamer.graph.engine import Engine

__all__ = ["Runner"]

R = TypeVar("R")
Handler = Callable[[Any], Awaitable[None]]

STOP_GRACE = 2.0
"""Seconds a source has to return from ``run`` after ``ctx.stopping`` was set."""


class Runner:
    """One node of a running graph; also the node's ``ctx``."""

    def __init__(
        self, plan: NodePlan, engine: Engine, ins: Sequence[Channel], outs: Sequence[Channel]
    ) -> None:
        self.plan = plan
        self.name = plan.name
        self.session = engine.session
        self.resources = engine.resources
        self.local = engine.local
        self.log = logging.getLogger(f"streamer.node.{plan.name}")
        self.stopping = asyncio.Event()
        self._tape = engine.tape
        self.inbox = Inbox(ins) if engine.tape is None else engine.tape.inbox(plan.name, ins)
        self.failed: StreamerError | None = None
        self.ended = False
        self.position = 0.0
        """Media time (s) of the newest packet sent."""
        self._engine = engine
        self._outs: dict[str, list[Channel]] = {}
        for channel in outs:
            self._outs.setdefault(channel.edge.out.name, []).append(channel)
            channel.on_abandoned = self._on_abandoned
        self._all_outs = list(outs)
        self._connected = {channel.edge.port.name for channel in ins}
        self._waits = {id(c): engine.recorder.track(c.name) for c in ins}
        self._blocks = {id(c): engine.recorder.track(c.name) for c in outs}
        self._track = engine.recorder.track(plan.name)
        self._is_sink = not plan.cls.ports()[1]
        self._stamp = Stamp(session=self.session)
        self._blocked_ns = 0
        self._spawned: set[asyncio.Task[Any]] = set()
        self._crash: BaseException | None = None
        self._deaf = False
        self._mark: Packet | None = None
        self._starts: deque[float] = deque()
        self._main: asyncio.Task[None] | None = None
        self._equip()

    def _equip(self) -> None:
        self.node: Node = self.plan.cls(self.plan.config)
        self.node.ctx = self
        ins, outs = self.plan.cls.ports()
        for name, spec in outs.items():
            getattr(self.node, name).bind(spec, self._emit)
        self._handlers: dict[str, Handler] = {
            name: getattr(self.node, f"process_{name}", None) or self.node.process  # type: ignore[attr-defined]
            for name in ins
        }

    # -- the Context that nodes see ----------------------------------------------------------

    @property
    def generation(self) -> int:
        return self._engine.generation

    @property
    def stamp(self) -> Stamp:
        return self._stamp

    def connected(self, port: str) -> bool:
        return port in self._connected

    def now_ns(self) -> int:
        return self._engine.now_ns()

    async def call(self, fn: Callable[..., R], *args: Any) -> R:
        return await asyncio.get_running_loop().run_in_executor(None, fn, *args)

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(work, name=f"{self.name}.spawn")
        self._spawned.add(task)
        task.add_done_callback(self._on_spawned_done)
        return task

    def trace(self, step: str, times: tuple[float, float, float], stamp: Stamp | None) -> None:
        recorder, seconds = self._engine.recorder, (stamp or self._stamp).seconds
        track = recorder.track(f"{self.name}: {step}")
        asked, began, ended = (int(time * 1e9) for time in times)
        recorder.add(WAIT, track, asked, began, seconds)
        recorder.add(WORK, track, began, ended, seconds)

    def report(self, error: BaseException) -> None:
        self._engine.report(self.name, error, self._stamp)

    async def mark(self, mark: str) -> None:
        if self._tape is not None:
            self._tape.sent(self.name, "", mark, self._stamp)
        await self._send(self._all_outs, Mark(mark), self._stamp)

    async def interrupt(self) -> int:
        return self._engine.interrupt(self.name)

    @property
    def paused(self) -> bool:
        return self._engine.paused

    def pause(self, paused: bool) -> None:
        self._engine.paused = paused

    # -- life --------------------------------------------------------------------------------

    async def start(self) -> None:
        """Start the node for the first time; errors go to the caller."""
        await self.node.start()

    async def run(self) -> None:
        """Until the inputs have ended, the source returns, or the restarts are used up."""
        try:
            while True:
                try:
                    await self._live()
                    return
                except Exception as error:
                    if not await self._restart(error):
                        return
                except asyncio.CancelledError as error:
                    task = asyncio.current_task()
                    if task is None or task.cancelling():
                        raise
                    # Not ours: something inside the node was cancelled and let it out.
                    if not await self._restart(RuntimeError(f"cancelled inside: {error!r}")):
                        return
        finally:
            await self._end()

    def stop(self) -> None:
        """Ask a source to return from ``run``; after a grace period it is cancelled."""
        if not self.stopping.is_set():
            self.stopping.set()
            if self._main is not None:
                asyncio.get_running_loop().call_later(STOP_GRACE, self._main.cancel)

    async def _live(self) -> None:
        if isinstance(self.node, Source):
            await self._run_source(self.node)
        else:
            await self._read()
        if self._crash is not None:
            crash, self._crash = self._crash, None
            raise crash
        if not self._deaf:
            for channel in self.inbox.channels:
                items, seconds = channel.late_gap()
                if items:
                    await self.node.on_gap(channel.edge.port.name, seconds, items)
            await self.node.finish()

    async def _run_source(self, source: Source) -> None:
        self._main = asyncio.get_running_loop().create_task(source.run(), name=self.name)
        try:
            await asyncio.shield(self._main)
        except asyncio.CancelledError:
            if not self._main.cancelled():
                self._main.cancel()
                await asyncio.gather(self._main, return_exceptions=True)
                raise
        finally:
            self._main = None

    async def _read(self) -> None:
        inbox = self.inbox
        while self._crash is None and not self._deaf:
            item = inbox.poll()
            if item is None:
                if self._mark is not None and inbox.all_held:
                    await self._pass_mark(self._mark)
                elif inbox.ended:
                    return
                else:
                    await inbox.wait()
            elif isinstance(item, Interrupt | Flush):
                await self._obey(item)
            elif type(item[1].value) is Mark:
                # Hold this input until the mark has come through the others too.
                inbox.held.add(item[0])
                self._mark = item[1]
            else:
                await self._step(*item)

    async def _pass_mark(self, packet: Packet) -> None:
        self._mark = None
        await self.node.on_mark(packet.value.id)
        await self._send(self._all_outs, packet.value, packet.stamp)
        self.inbox.held.clear()

    async def _obey(self, signal: Signal) -> None:
        if isinstance(signal, Interrupt):
            await self.node.on_interrupt(signal.generation)
        else:
            await self.node.on_flush()

    async def _step(self, channel: Channel, packet: Packet) -> None:
        stamp, generation = packet.stamp, self._engine.generation
        if stamp.generation < generation:
            if interruptible(packet.value):
                channel.stale += 1
                return
            stamp = stamp.with_generation(generation)
        self._stamp = stamp
        recorder, now_ns, seconds = self._engine.recorder, self._engine.now_ns, stamp.seconds
        begin = now_ns()
        recorder.add(WAIT, self._waits[id(channel)], packet.queued_ns, begin, seconds)
        blocked = self._blocked_ns
        port = channel.edge.port.name
        if packet.gap_items:
            await self.node.on_gap(port, packet.gap_seconds, packet.gap_items)
        await self._handlers[port](packet.value)
        end = now_ns()
        blocked = self._blocked_ns - blocked
        recorder.add(WORK, self._track, begin, end - blocked, seconds)
        if self._is_sink:
            if stamp.captured_ns:
                recorder.add(AGE, self._track, stamp.captured_ns, end, seconds)
            if self._engine.on_arrival is not None:
                self._engine.on_arrival(packet.value, stamp)

    async def _emit(self, spec: PortSpec, value: Any, stamp: Stamp | None) -> None:
        if stamp is None:
            stamp = self._stamp
        self.position = stamp.seconds
        if self._tape is not None:
            self._tape.sent(self.name, spec.name, value, stamp)
        await self._send(self._outs.get(spec.name, ()), value, stamp)

    async def _send(self, channels: Sequence[Channel], value: Any, stamp: Stamp) -> None:
        for channel in channels:
            packet = Packet(value, stamp)
            if not channel.offer(packet):
                begin = self.now_ns()
                await channel.put(packet)
                end = self.now_ns()
                self._blocked_ns += end - begin
                track = self._blocks[id(channel)]
                self._engine.recorder.add(BLOCKED, track, begin, end, stamp.seconds)

    # -- failing and ending ------------------------------------------------------------------

    async def _restart(self, error: Exception) -> bool:
        """Whether the node is running again after ``error``."""
        rule, loop = self.plan.restart, asyncio.get_running_loop()
        while True:
            now = loop.time()
            while self._starts and now - self._starts[0] > rule.within:
                self._starts.popleft()
            attempts = len(self._starts)
            if rule.policy == "never" or attempts >= rule.limit or self.stopping.is_set():
                self.failed = self._as_failure(error)
                self._engine.report(self.name, self.failed, self._stamp, fatal=True)
                return False
            self._engine.report(self.name, self._as_failure(error), self._stamp)
            self._starts.append(now)
            await self._release()
            await asyncio.sleep(min(rule.backoff * 2**attempts, rule.backoff_max))
            self._equip()
            try:
                await self.node.start()
                return True
            except Exception as again:
                error = again

    def _as_failure(self, error: Exception) -> StreamerError:
        if isinstance(error, StreamerError):
            return error
        failure = NodeError(
            f"Node {self.name!r} ({self.plan.cls.kind}) failed at {self._stamp.seconds:.2f} s: "
            f"{type(error).__name__}: {error}",
            code="node.failed",
            hint="Run with --debug for the traceback.",
        )
        failure.__cause__ = error
        return failure

    async def _release(self) -> None:
        for task in list(self._spawned):
            task.cancel()
        await asyncio.gather(*self._spawned, return_exceptions=True)
        self._crash = None
        try:
            await self.node.close()
        except Exception as error:
            self.report(error)

    async def _end(self) -> None:
        try:
            await self._release()
        finally:
            self.ended = True
            if self._tape is not None:
                self._tape.ended(self.name)
            for channel in self._all_outs:
                channel.close()
            for channel in self.inbox.channels:
                channel.abandon()

    def _on_spawned_done(self, task: asyncio.Task[Any]) -> None:
        self._spawned.discard(task)
        if not task.cancelled() and task.exception() is not None and self._crash is None:
            self._crash = task.exception()
            self.inbox.wake()
            if self._main is not None:
                self._main.cancel()

    def _on_abandoned(self) -> None:
        if not self.ended and all(channel.abandoned for channel in self._all_outs):
            self._deaf = True
            self.inbox.wake()
            self.stop()
