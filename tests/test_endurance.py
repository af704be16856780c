"""Long runs: memory stays flat. Part of `make test-slow`."""

from __future__ import annotations

import asyncio
import gc
import resource
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streamer.audio.decode import AudioReader
from streamer.graph import Engine, Out, Source
from streamer.graph.build import load_text
from streamer.graph.registry import Registry
from streamer.nodes import KINDS
from streamer.packets import AudioFrame, Samples, Stamp

GRAPH = """
version: 1
nodes:
  source: {use: source.loop}
  vad:    {use: vad.silero, in: source}
  asr:    {use: asr.moonshine, in: {audio: source, speech: vad}, partials: false}
  text:   {use: sink.text, in: asr.final, path: "${OUT}"}
"""


def rss() -> float:
    """Megabytes held now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


class Loop(Source):
    """An hour: a few seconds of speech, then minutes of room noise, over and over."""

    audio: Out[AudioFrame]
    speech: Samples
    seconds = 3600.0
    seen: list[float]

    async def run(self) -> None:
        noise = np.random.default_rng(0).normal(0, 1e-3, (320, 1)).astype(np.float32)
        position, turn = 0, 300 * 16000
        while position < self.seconds * 16000:
            at = position % turn
            part = self.speech[at : at + 320] if at + 320 <= self.speech.shape[0] else noise
            frame = AudioFrame(part, 16000, position)
            position = frame.end
            await self.audio.send(frame, Stamp(position=position, captured_ns=1))
            if position % turn == 0:
                gc.collect()
                self.seen.append(rss())


@pytest.mark.slow
def test_an_hour_of_audio_leaves_memory_flat(sample: Path, tmp_path: Path) -> None:
    frames = AudioReader(sample).read(60)
    Loop.speech = np.concatenate([frame.samples for frame in frames])
    Loop.seen = []
    kinds: dict[str, Any] = {**KINDS, "source.loop": Loop}
    plan = load_text(GRAPH, "g", Registry(kinds), variables={"OUT": str(tmp_path / "out.txt")})
    asyncio.run(Engine(plan).run())
    assert (tmp_path / "out.txt").read_text().count("Dashwood") == 12
    first, last = Loop.seen[2], Loop.seen[-1]
    print(f"memory by five minutes (MB): {[round(m) for m in Loop.seen]}")
    assert last <= first * 1.02 + 2
