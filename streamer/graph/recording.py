"""Keeps a run in a folder: what came in, what went over chosen edges, when everything happened.

    recording.json   versions, the graph's name, whether the run ended
    graph.yaml       the graph, its variables filled in
    nodes/N.jsonl    what node N sent (and marks), what was lost on its inputs, its end
    nodes/N.P.bin    the arrays of port P, raw and little-endian
    nodes/N.steps    when N took each packet or signal: rows of :data:`STEP`
    events.jsonl     interruptions, flushes, and work on other threads as it was done

Everything is appended by one thread; what a line refers to is written before the line, so a
folder is readable up to the moment its program was killed.
"""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from streamer.errors import OutputError
from streamer.graph.channel import Channel
from streamer.graph.engine import Engine
from streamer.graph.inbox import Inbox
from streamer.graph.packet import Packet, Signal
from streamer.graph.payloads import encode, has_arrays
from streamer.graph.plan import GraphPlan, NodePlan
from streamer.graph.tape import Tape
from streamer.packets import Stamp

__all__ = ["SIGNAL", "STEP", "Recording", "file_name", "from_outside", "recorded_ports"]

STEP = np.dtype([("ns", "<i8"), ("channel", "<i4")])
"""A step of a node: loop time (ns), and which of its channels the packet came from."""
SIGNAL = -1
"""In place of the channel: a signal."""
WAITING = 10_000
"""Records that may wait for the disk before the recording ends."""
LIMIT = 2 << 30

Write = tuple[str, Callable[[], bytes]]


def from_outside(node: NodePlan) -> bool:
    """Whether a replay sends what was recorded instead of running the node."""
    return node.cls.outside or not node.cls.ports()[1]


def recorded_ports(plan: GraphPlan, edges: Sequence[str] = ()) -> set[tuple[str, str]]:
    """(node, output) of the chosen ``edges`` (``a.b->c`` or ``a.b``) and of what is from outside.

    Without ``edges``: every output that does not carry samples.
    """
    outside = {name for name, node in plan.nodes.items() if from_outside(node)}
    known = {(e.source, e.out.name): e.out for e in plan.edges}
    chosen = {key for key in known if key[0] in outside}
    if not edges:
        return chosen | {key for key, port in known.items() if not has_arrays(port)}
    for text in edges:
        source, _, target = (part.strip() for part in text.partition("->"))
        found = {
            (e.source, e.out.name)
            for e in plan.edges
            if source in (e.source, f"{e.source}.{e.out.name}")
            and target in ("", e.target, f"{e.target}.{e.port.name}")
        }
        if not found:
            raise OutputError(
                f"The graph has no edge {text!r} to record.",
                code="recording.edge",
                hint=f"Edges: {', '.join(sorted(e.name.replace(' ', '') for e in plan.edges))}.",
            )
        chosen |= found
    return chosen


def file_name(node: str) -> str:
    """A node's name as that of a file; those of sub-graphs have a slash."""
    return node.replace("/", "+")


class Recording(Tape):
    """Writes ``folder``, which must be new or empty, until the run ends or ``limit`` bytes.

    When the disk is full or too slow or the limit is reached, the recording ends there, whole,
    and the run goes on; ``on_stop`` is told why, once, on any thread.
    """

    def __init__(
        self,
        folder: Path,
        plan: GraphPlan,
        graph: Mapping[str, str],
        about: Mapping[str, Any],
        *,
        edges: Sequence[str] = (),
        limit: int = LIMIT,
        on_stop: Callable[[OutputError], None] = lambda error: None,
    ) -> None:
        """``graph``: file names and texts; ``about``: what recording.json says besides."""
        self.folder = folder
        self._ports = recorded_ports(plan, edges)
        self._limit, self._on_stop = limit, on_stop
        self._about = {**about, "ports": sorted(f"{n}.{p}" for n, p in self._ports)}
        self._queue: queue.Queue[Write | None] = queue.Queue(WAITING)
        self._files: dict[str, Any] = {}
        self._sizes: dict[str, int] = {}
        self._total = 0
        self._stopped = False
        try:
            if folder.exists() and any(folder.iterdir()):
                raise OutputError(
                    f"{folder} is not empty.",
                    code="recording.exists",
                    hint="Record into a new folder.",
                )
            (folder / "nodes").mkdir(parents=True, exist_ok=True)
            for name, text in graph.items():
                (folder / name).write_text(text, "utf-8")
            self._save(ended=False)
        except OSError as error:
            raise _unwritable(folder, error) from error
        self._thread = threading.Thread(target=self._work, name="recording", daemon=True)
        self._thread.start()

    def close(self, **about: Any) -> None:
        """Write what is left; ``about`` is added to recording.json. Blocking."""
        self._queue.put(None)
        self._thread.join()
        for file in self._files.values():
            file.close()
        self._about |= about
        try:
            self._save(ended=not self._stopped)
        except OSError as error:
            self._stop(_unwritable(self.folder, error))

    # -- on the event loop -------------------------------------------------------------------

    def attach(self, engine: Engine) -> None:
        self._now = engine.now_ns
        self._event({"what": "begin"})

    def inbox(self, node: str, channels: Sequence[Channel]) -> Inbox:
        return _Listening(self, node, channels)

    def sent(self, node: str, port: str, value: Any, stamp: Stamp) -> None:
        if not port or (node, port) in self._ports:
            row = {"ns": self._now(), "port": port, "stamp": _stamp(stamp)}
            self._put(f"nodes/{file_name(node)}.jsonl", lambda: self._packet(node, row, value))

    def lost(self, channel: Channel, packet: Packet, why: str) -> None:
        row = {"ns": self._now(), "lost": why, "edge": channel.name, "stamp": _stamp(packet.stamp)}
        self._put(f"nodes/{file_name(channel.edge.target)}.jsonl", lambda: _line(row))

    def signal(self, name: str, by: str) -> None:
        self._event({"what": name, "by": by})

    def work(self, name: str, number: int) -> None:
        """Work on another thread was done (for :class:`TapedLoop`)."""
        self._event({"what": "work", "name": name, "number": number})

    def ended(self, node: str) -> None:
        row = {"ns": self._now(), "end": True}
        self._put(f"nodes/{file_name(node)}.jsonl", lambda: _line(row))

    def took(self, node: str, index: int, packet: Packet | None) -> None:
        """``node`` took a packet of its channel ``index``, or a signal."""
        now = self._now()
        step = np.array([(now, index)], STEP)
        self._put(f"nodes/{file_name(node)}.steps", step.tobytes)
        if packet is not None and packet.gap_items:
            gap = {"ns": now, "gap": packet.gap_items, "seconds": packet.gap_seconds}
            self._put(f"nodes/{file_name(node)}.jsonl", lambda: _line(gap))

    def _event(self, row: dict[str, Any]) -> None:
        now = getattr(self, "_now", None)
        if now is not None:
            full = {"ns": now(), **row}
            self._put("events.jsonl", lambda: _line(full))

    def _put(self, file: str, make: Callable[[], bytes]) -> None:
        if not self._stopped:
            try:
                self._queue.put_nowait((file, make))
            except queue.Full:
                self._stop(_stopped("the disk is too slow"))

    def _stop(self, error: OutputError) -> None:
        if not self._stopped:
            self._stopped = True
            self._on_stop(error)

    # -- on the recording's thread -----------------------------------------------------------

    def _work(self) -> None:
        while (write := self._queue.get()) is not None:
            file, make = write
            try:
                self._append(file, make())
            except OSError as error:
                self._stop(_stopped(f"{self.folder} cannot be written: {error.strerror}"))
            except TypeError as error:  # a payload of a plug-in
                self._stop(_stopped(str(error)))

    def _append(self, name: str, data: bytes) -> None:
        if self._total + len(data) > self._limit:
            self._stop(_stopped(f"it has reached {self._limit >> 20} MiB"))
        if self._stopped:
            return
        file = self._files.get(name)
        if file is None:
            file = self._files[name] = (self.folder / name).open("ab", buffering=0)
        file.write(data)
        self._total += len(data)
        self._sizes[name] = self._sizes.get(name, 0) + len(data)

    def _packet(self, node: str, row: dict[str, Any], value: Any) -> bytes:
        arrays = f"nodes/{file_name(node)}.{row['port']}.bin"

        def store(raw: bytes) -> int:
            place = self._sizes.get(arrays, 0)
            self._append(arrays, raw)
            return place

        return _line(row | {"value": encode(value, store)})

    def _save(self, *, ended: bool) -> None:
        new = self.folder / "recording.json.new"
        new.write_text(json.dumps({"format": 1, "ended": ended, **self._about}, indent=1) + "\n")
        new.replace(self.folder / "recording.json")


class _Listening(Inbox):
    """Tells the recording of every step."""

    def __init__(self, recording: Recording, node: str, channels: Sequence[Channel]) -> None:
        super().__init__(channels)
        self._recording, self._node = recording, node
        self._index = {id(channel): index for index, channel in enumerate(channels)}

    def poll(self) -> tuple[Channel, Packet] | Signal | None:
        item = super().poll()
        if isinstance(item, tuple):
            self._recording.took(self._node, self._index[id(item[0])], item[1])
        elif item is not None:
            self._recording.took(self._node, SIGNAL, None)
        return item


def _stamp(stamp: Stamp) -> list[Any]:
    return [stamp.session, stamp.position, stamp.rate, stamp.captured_ns, stamp.generation]


def _line(row: Mapping[str, Any]) -> bytes:
    return json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _stopped(why: str) -> OutputError:
    return OutputError(
        f"The recording ends here: {why}.",
        code="recording.stopped",
        hint="The run goes on; what was recorded so far can be replayed.",
    )


def _unwritable(folder: Path, error: OSError) -> OutputError:
    return OutputError(
        f"{folder} cannot be written: {error.strerror}.",
        code="output.unwritable",
        hint="Choose another folder with --record.",
    )
