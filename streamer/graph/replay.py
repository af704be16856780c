"""Runs a recording again: recorded inputs, recorded instants, a virtual clock.

Nodes run in the order in which they ran: each takes its k-th packet at the recorded time and from
the recorded edge, and work on other threads is done when it was done then. So queues fill, and
edges drop, as they did. Where a changed node has nothing to take, the replay goes on without
the recorded order.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from streamer.errors import InputError
from streamer.graph.channel import Channel
from streamer.graph.engine import Engine
from streamer.graph.inbox import Inbox
from streamer.graph.node import Node, Source
from streamer.graph.packet import Packet, Signal
from streamer.graph.payloads import decode, encode, payload_types
from streamer.graph.plan import GraphPlan, NodePlan
from streamer.graph.ports import Out, PortSpec
from streamer.graph.recording import SIGNAL, STEP, file_name, from_outside
from streamer.graph.tape import Tape, work_name
from streamer.graph.virtual import VirtualLoop
from streamer.packets import Stamp

__all__ = ["Difference", "Replay"]

T = TypeVar("T")
NEAR = 5
"""Nanoseconds that a timer may be early."""
BATCH = 64
"""Packets read ahead by a node that stands in for another."""
CLOSE = 1e-3
"""Numbers may differ by so much: another processor rounds otherwise."""


@dataclass(frozen=True, slots=True)
class Difference:
    """The first packet of an output that is not as it was; None: there was none."""

    node: str
    port: str
    seconds: float
    ns: int
    recorded: Any
    replayed: Any


class Replay(Tape):
    """A recorded run, to be run once more by :meth:`run`.

    ``plan`` is that of the recorded ``graph.yaml``.
    """

    def __init__(self, folder: Path, plan: GraphPlan) -> None:
        self.folder = folder
        self.about = read_about(folder)
        events = list(_lines(folder / "events.jsonl"))
        if not events:
            raise _bad(folder, "it ends before the run began")
        self._begin = events[0]["ns"]
        self._work = {(e["name"], e["number"]): e["ns"] for e in events if e["what"] == "work"}
        outside = {name for name, node in plan.nodes.items() if from_outside(node)}
        self._signals = [
            e
            for e in events
            if e["what"] in ("interrupt", "flush") and (not e["by"] or e["by"] in outside)
        ]
        self.plan = replace(
            plan,
            nodes={
                name: replace(node, cls=_stand_in(node, folder), config=None)
                if name in outside
                else node
                for name, node in plan.nodes.items()
            },
        )
        self.counts: Counter[tuple[str, str]] = Counter()
        """Packets that came again as they were, by node and port."""
        self.differences: list[Difference] = []
        """The first of each output, in order of time."""
        self._compared = self._recorded_outputs(outside)
        self._steps = {name: self._steps_of(name) for name in plan.nodes}
        newest = (int(steps["ns"][-1]) for steps in self._steps.values() if len(steps))
        # Work that was under way when a recording was cut off is done behind all that it holds.
        self._rest = 0 if self.about["ended"] else max(events[-1]["ns"], *newest) + 1

    def run(self) -> Engine:
        """Run to the end; :attr:`differences` then says what was not the same."""
        engine = Engine(self.plan, tape=self, on_report=lambda report: None)
        with asyncio.Runner(
            loop_factory=lambda: _Loop(self._begin, self._work, self._rest)
        ) as runner:
            runner.run(self._run(engine))
        if self.about["ended"]:
            for (node, port), rows in self._compared.items():
                for row in itertools.islice(rows, 1):
                    self._differs(node, port, row, None, row["stamp"])
        self.differences.sort(key=lambda found: found.ns)
        return engine

    async def _run(self, engine: Engine) -> None:
        signals = asyncio.create_task(self._send_signals(engine))
        try:
            await engine.run()
        finally:
            signals.cancel()
            await asyncio.gather(signals, return_exceptions=True)

    async def _send_signals(self, engine: Engine) -> None:
        for signal in self._signals:
            await _until(signal["ns"])
            if signal["what"] == "interrupt":
                engine.interrupt()
            else:
                engine.flush()

    # -- the tape ----------------------------------------------------------------------------

    def inbox(self, node: str, channels: Sequence[Channel]) -> Inbox:
        return _Led(channels, self._steps[node])

    def _steps_of(self, node: str) -> Any:
        path = self.folder / "nodes" / f"{file_name(node)}.steps"
        raw = path.read_bytes() if path.exists() else b""
        return np.frombuffer(raw[: len(raw) // STEP.itemsize * STEP.itemsize], STEP)

    def sent(self, node: str, port: str, value: Any, stamp: Stamp) -> None:
        rows = self._compared.get((node, port))
        if rows is None or any((d.node, d.port) == (node, port) for d in self.differences):
            return
        recorded = next(rows, None)
        replayed = encode(value, lambda raw: 0)
        if recorded is None:
            if self.about["ended"]:
                self._differs(node, port, None, replayed, [0, stamp.position, stamp.rate])
        elif _same(recorded["value"], replayed):
            self.counts[node, port] += 1
        else:
            self._differs(node, port, recorded, replayed, recorded["stamp"])

    def _differs(
        self, node: str, port: str, row: dict[str, Any] | None, replayed: Any, stamp: Any
    ) -> None:
        ns = row["ns"] if row else int(asyncio.get_running_loop().time() * 1e9)
        value = None if row is None else row["value"]
        found = Difference(node, port, stamp[1] / stamp[2], ns, value, replayed)
        self.differences.append(found)

    def _recorded_outputs(self, outside: set[str]) -> dict[tuple[str, str], Iterator[Any]]:
        keys = {
            (edge.source, edge.out.name) for edge in self.plan.edges if edge.source not in outside
        }
        ports = self.about.get("ports", [])
        return {(n, p): iter(_rows(self.folder, n, p)) for n, p in keys if f"{n}.{p}" in ports}


def read_about(folder: Path) -> dict[str, Any]:
    """What recording.json says."""
    try:
        about: dict[str, Any] = json.loads((folder / "recording.json").read_text("utf-8"))
    except (OSError, ValueError):
        raise _bad(folder, "recording.json is missing or damaged") from None
    if about.get("format") != 1:
        raise _bad(folder, "it has another format")
    return about


def _bad(folder: Path, why: str) -> InputError:
    return InputError(
        f"{folder} is not a recording that can be replayed: {why}.",
        code="recording.bad",
        hint="Give the folder that `streamer run --record` wrote.",
    )


def _rows(folder: Path, node: str, port: str) -> list[dict[str, Any]]:
    """What ``node`` sent on ``port``."""
    rows = _lines(folder / "nodes" / f"{file_name(node)}.jsonl")
    return [row for row in rows if row.get("port") == port]


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a file; one that was being written when the program died is left out."""
    if path.exists():
        with path.open("rb") as file:
            for line in file:
                if line.endswith(b"\n"):
                    yield json.loads(line)


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, dict) and isinstance(b, dict):
        keys = (a.keys() | b.keys()) - {"at"}
        return all(_same(a.get(key), b.get(key)) for key in keys)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(_same, a, b))
    if isinstance(a, float) or isinstance(b, float):
        numbers = isinstance(a, int | float) and isinstance(b, int | float)
        return numbers and abs(a - b) <= CLOSE
    return bool(a == b)


async def _until(ns: int) -> None:
    """Until the loop's clock shows ``ns``."""
    loop = asyncio.get_running_loop()
    if ns - int(loop.time() * 1e9) > NEAR:
        reached = loop.create_future()
        timer = loop.call_at(ns / 1e9, reached.set_result, None)
        try:
            await reached
        finally:
            timer.cancel()


class _Loop(VirtualLoop):
    """Starts at the recorded time; work on other threads is done when it was done then."""

    def __init__(self, begin: int, work: dict[tuple[str, int], int], rest: int) -> None:
        super().__init__()
        self.advance(begin / 1e9 - self.time())
        self._work, self._rest = work, rest
        self._started: Counter[str] = Counter()

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        name = work_name(func)
        key = (name, self._started[name])
        self._started[name] += 1
        inner = super().run_in_executor(executor, func, *args)
        ns = self._work.get(key, self._rest)
        if not ns or func is _batch:
            return inner
        outer: asyncio.Future[T] = self.create_future()

        def done(_: Any) -> None:
            self.call_at(ns / 1e9, settle)

        def settle() -> None:
            if outer.done():
                return
            if inner.cancelled():
                outer.cancel()
            elif (error := inner.exception()) is not None:
                outer.set_exception(error)
            else:
                outer.set_result(inner.result())

        inner.add_done_callback(done)
        return outer


class _Led(Inbox):
    """Gives its reader what it took then, when it took it."""

    def __init__(self, channels: Sequence[Channel], steps: Any) -> None:
        super().__init__(channels)
        self._steps, self._at = steps, 0

    def poll(self) -> tuple[Channel, Packet] | Signal | None:
        if self._at >= len(self._steps):
            return super().poll()
        ns, index = (int(part) for part in self._steps[self._at])
        loop = asyncio.get_running_loop()
        if int(loop.time() * 1e9) < ns - NEAR:
            loop.call_at(ns / 1e9, self.wake)
            return None
        if index == SIGNAL:
            if self._signals:
                self._at += 1
                return self._signals.popleft()
        elif index < len(self.channels):
            channel = self.channels[index]
            if channel.front is not None and channel not in self.held:
                self._at += 1
                return channel, channel.take()
        item = super().poll()
        self._at += item is not None
        return item


def _stand_in(node: NodePlan, folder: Path) -> type[Node]:
    """A class that looks like the node's and sends what it sent; what it is given it drops."""
    original = node.cls
    ports = original.ports()
    types = payload_types(ports[1])

    class Recorded(Node):
        kind = original.kind

        def __init__(self, config: Any = None) -> None:
            self.config = config
            for name in ports[1]:
                setattr(self, name, Out())

        @classmethod
        def ports(cls) -> tuple[dict[str, PortSpec], dict[str, PortSpec]]:
            return ports

        async def start(self) -> None:
            if ports[0]:
                self._playing = self.ctx.spawn(self.run())

        async def process(self, value: Any) -> None:
            pass

        async def finish(self) -> None:
            if ports[0]:
                await self._playing

        async def run(self) -> None:
            rows = _lines(folder / "nodes" / f"{file_name(self.ctx.name)}.jsonl")
            loop, name = asyncio.get_running_loop(), self.ctx.name
            while batch := await loop.run_in_executor(None, _batch, rows, folder, name, types):
                for row, value in batch:
                    await _until(row["ns"])
                    if row.get("end"):
                        return
                    if row["port"]:
                        stamp = Stamp(*row["stamp"])
                        await getattr(self, row["port"]).send(value, stamp)
                    else:
                        await self.ctx.mark(value)

    if issubclass(original, Source):
        return type("RecordedSource", (Recorded, Source), {"live": original.live})
    return Recorded


def _batch(
    rows: Iterator[dict[str, Any]], folder: Path, node: str, types: dict[str, type]
) -> list[tuple[dict[str, Any], Any]]:
    """The next rows of what a node sent, with their payloads."""
    batch: list[tuple[dict[str, Any], Any]] = []
    for row in rows:
        if "value" in row:
            arrays = folder / "nodes" / f"{file_name(node)}.{row['port']}.bin"
            batch.append((row, decode(row["value"], types, partial(_load, arrays))))
        elif row.get("end"):
            batch.append((row, None))
        if len(batch) == BATCH:
            break
    return batch


def _load(path: Path, at: int, size: int) -> bytes:
    with path.open("rb") as file:
        file.seek(at)
        return file.read(size)
