"""Recordings on the engine at real time, replayed; every run below races threads and timers."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streamer.errors import OutputError, StreamerError
from streamer.graph import Engine, In, Node, Out, QueueSpec, Source
from streamer.graph.plan import GraphPlan
from streamer.graph.recording import Recording, recorded_ports
from streamer.graph.replay import Replay
from streamer.graph.tape import TapedLoop
from streamer.packets import AudioFrame, ReplyText, Stamp, Transcript
from tests.graph.nodes import Collect, make_plan


class Mic(Source):
    """Two seconds of noise, 10 ms a frame; interrupts once a second."""

    live = True
    audio: Out[AudioFrame]

    async def run(self) -> None:
        noise = np.random.default_rng(1)
        for index in range(150):
            await asyncio.sleep(0.01)
            if index % 50 == 49:
                await self.ctx.interrupt()
            samples = noise.standard_normal((160, 1)).astype(np.float32)
            frame = AudioFrame(samples, 16000, index * 160)
            now = self.ctx.now_ns()
            await self.audio.send(frame, Stamp("", frame.end, 16000, now, self.ctx.generation))


class Slow(Node):
    """Sums frames on a thread, too slowly; says how many came and what was lost before."""

    audio: In[AudioFrame]
    text: Out[Transcript]
    factor = 1.0

    async def start(self) -> None:
        self._gap = 0

    async def on_gap(self, port: str, seconds: float, items: int) -> None:
        self._gap += items

    async def process(self, frame: AudioFrame) -> None:
        total = await self.ctx.call(self._sum, frame)
        said = f"{frame.start} {total:.4f} {self._gap} {self.ctx.generation}"
        await self.text.send(Transcript(said, 0, frame.end / 16000))

    def _sum(self, frame: AudioFrame) -> float:
        time.sleep(0.002 + 0.03 * abs(float(frame.samples[0, 0])))
        return float(np.sum(frame.samples)) * self.factor


class Latest(Node):
    """Answers by what it has heard last: depends on the order of its two inputs."""

    audio: In[AudioFrame]
    text: In[Transcript]
    reply: Out[ReplyText]

    async def start(self) -> None:
        self._last = -1

    async def process_audio(self, frame: AudioFrame) -> None:
        self._last = frame.start

    async def process_text(self, text: Transcript) -> None:
        await self.reply.send(ReplyText(0, f"{text.text} while {self._last}"))


def racing_plan(slow: type[Node] = Slow) -> GraphPlan:
    live = QueueSpec(0.05, None, "drop_oldest")
    return make_plan(
        {"mic": Mic, "slow": slow, "latest": Latest, "end": Collect},
        "mic.audio -> slow.audio",
        "mic.audio -> latest.audio",
        "slow.text -> latest.text",
        "latest.reply -> end.inp",
        queue=live,
    )


def record(folder: Path, plan: GraphPlan, **options: Any) -> Engine:
    recording = Recording(folder, plan, {}, {"environment": []}, **options)
    engine = Engine(plan, tape=recording)
    try:
        with asyncio.Runner(loop_factory=lambda: TapedLoop(recording.work)) as runner:
            runner.run(engine.run())
    finally:
        recording.close()
    return engine


def rows(folder: Path, node: str) -> list[dict[str, Any]]:
    text = (folder / "nodes" / f"{node}.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture(scope="module")
def racing(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Engine]:
    folder = tmp_path_factory.mktemp("recording")
    return folder, record(folder, racing_plan())


def test_drops_gaps_interruptions_and_races_come_again(racing: tuple[Path, Engine]) -> None:
    folder, first = racing
    again = Replay(folder, racing_plan())
    second = again.run()
    assert not again.differences
    said = [row for row in rows(folder, "slow") if row.get("port") == "text"]
    assert again.counts["slow", "text"] == len(said) > 20
    dropped = {c.name: (c.dropped, c.stale) for c in first.channels}
    assert {c.name: (c.dropped, c.stale) for c in second.channels} == dropped
    assert dropped["mic.audio -> slow.audio"][0] > 10
    assert second.generation == first.generation == 3


def test_what_is_lost_is_written(racing: tuple[Path, Engine]) -> None:
    folder, engine = racing
    found = rows(folder, "slow")
    (channel,) = (c for c in engine.channels if c.edge.target == "slow")
    lost = [row for row in found if row.get("lost") == "dropped"]
    assert len(lost) == channel.dropped and lost[0]["edge"] == channel.name
    assert sum(row["gap"] for row in found if "gap" in row) <= channel.dropped
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    assert sum(event["what"] == "interrupt" for event in events) == 3


def test_the_input_is_kept_bit_for_bit(racing: tuple[Path, Engine]) -> None:
    folder, _ = racing
    raw = np.fromfile(folder / "nodes" / "mic.audio.bin", "<f4")
    noise = np.random.default_rng(1)
    wanted = np.concatenate(
        [noise.standard_normal((160, 1)).astype(np.float32) for _ in range(150)]
    )
    assert np.array_equal(raw, wanted[:, 0])


class Louder(Slow):
    """A change of the code."""

    factor = 1.01


def test_a_change_is_named_with_its_place(racing: tuple[Path, Engine]) -> None:
    folder, _ = racing
    again = Replay(folder, racing_plan(Louder))
    again.run()
    first = again.differences[0]
    assert (first.node, first.port) == ("slow", "text")
    assert first.recorded["text"] != first.replayed["text"]
    assert first.seconds == pytest.approx(first.recorded["end"])


@pytest.mark.parametrize("cut", [0.2, 0.9])
def test_a_recording_cut_off_anywhere_is_replayed(
    racing: tuple[Path, Engine], tmp_path: Path, cut: float
) -> None:
    folder, _ = racing
    (tmp_path / "nodes").mkdir()
    about = json.loads((folder / "recording.json").read_text()) | {"ended": False}
    (tmp_path / "recording.json").write_text(json.dumps(about))
    last = rows(folder, "mic")[-1]["ns"]
    first = rows(folder, "mic")[0]["ns"]
    limit = int(first + cut * (last - first))
    for path in folder.rglob("*.jsonl"):
        kept = path.read_text().splitlines(keepends=True)
        lines = [row for row in kept if json.loads(row)["ns"] <= limit]
        torn = '{"ns": 12, "va'
        (tmp_path / path.relative_to(folder)).write_text("".join(lines) + torn)
    for path in [*folder.rglob("*.bin"), *folder.rglob("*.steps")]:
        (tmp_path / path.relative_to(folder)).write_bytes(path.read_bytes())
    again = Replay(tmp_path, racing_plan())
    again.run()
    assert not again.differences and again.counts["slow", "text"] > 2


def test_a_limit_ends_the_recording_and_not_the_run(tmp_path: Path) -> None:
    told: list[OutputError] = []
    record(tmp_path / "r", racing_plan(), limit=50_000, on_stop=told.append)
    assert [error.code for error in told] == ["recording.stopped"]
    size = sum(path.stat().st_size for path in (tmp_path / "r").rglob("*.*") if path.is_file())
    assert size <= 50_000 + 1000
    again = Replay(tmp_path / "r", racing_plan())
    again.run()
    assert not again.differences and again.counts["slow", "text"] > 2


def test_a_folder_in_use_is_refused(racing: tuple[Path, Engine]) -> None:
    with pytest.raises(StreamerError, match="not empty"):
        Recording(racing[0], racing_plan(), {}, {})


def test_which_edges_are_kept() -> None:
    plan = racing_plan()
    always = {("mic", "audio")}
    assert recorded_ports(plan) == always | {("slow", "text"), ("latest", "reply")}
    assert recorded_ports(plan, ["slow.text->latest"]) == always | {("slow", "text")}
    with pytest.raises(OutputError, match="no edge 'slow->end'"):
        recorded_ports(plan, ["slow->end"])
