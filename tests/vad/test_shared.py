"""Many streams through one model: the same result as alone, whatever happens to a neighbour."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import numpy as np

from streamer.audio.decode import decode
from streamer.graph import virtual
from streamer.packets import AudioFrame, SpeechSpan
from streamer.vad.segmenter import SpeechSegmenter
from streamer.vad.shared import SharedStream, SharedVad
from streamer.vad.silero import SileroModel

MODEL = Path(__file__).parents[2] / "models" / "silero-vad" / "silero_vad_16k_op15.onnx"
FRAME = 320


def test_many_streams_hear_what_each_would_alone_though_one_dies(sample: Path) -> None:
    speech = np.concatenate([frame.samples for frame in decode(sample)])[: 16000 * 13]

    async def listen(stream: SharedStream, offset: int, frames: int = 10**6) -> list[SpeechSpan]:
        """Plays the speech from ``offset`` on, in step with the clock."""
        found: list[SpeechSpan] = []
        part = speech[offset:]
        for at in range(0, len(part), FRAME)[:frames]:
            found += await stream.push(AudioFrame(part[at : at + FRAME], 16000, at))
            await asyncio.sleep(0.02)
        found += await stream.finish()
        return [replace(event, probability=round(event.probability, 4)) for event in found]

    async def main() -> None:
        vad = SharedVad(SileroModel(MODEL))
        offsets = [0, 5000, 70000, 133000]
        alone = []
        for offset in offsets:
            stream = vad.open(SpeechSegmenter())
            alone.append(await listen(stream, offset))
            stream.close()
        (stats,) = vad.stats
        assert stats.sizes.highest == 1
        assert stats.waits.highest == 0, "who is alone does not wait"
        before = stats.sizes.count, stats.sizes.total, stats.media

        streams = [vad.open(SpeechSegmenter()) for _ in range(12)]
        dead = [asyncio.create_task(listen(s, 9000)) for s in streams[4:]]
        living = [listen(s, o) for s, o in zip(streams, offsets, strict=False)]
        killer = asyncio.get_running_loop().call_later(3.0015, lambda: [t.cancel() for t in dead])
        assert await asyncio.gather(*living) == alone
        assert killer.when() < asyncio.get_running_loop().time()
        assert all(task.cancelled() for task in dead)
        assert [len(events) for events in alone] == [6, 6, 6, 4]
        batches, chunks = (
            now - then
            for now, then in zip((stats.sizes.count, stats.sizes.total), before, strict=False)
        )
        assert stats.sizes.highest == 12
        assert chunks / batches > 2
        assert stats.waits.highest <= 0.0021e9
        await vad.aclose()

    virtual.run(main())
