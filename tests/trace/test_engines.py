from __future__ import annotations

import asyncio

from streamer.batching import Batcher
from streamer.graph import virtual
from streamer.trace import Recorder
from streamer.trace.engines import EngineMetrics
from streamer.trace.prometheus import Metrics
from streamer.trace.scrape import Snapshot


def test_batches_waits_and_audio_are_shown_engine_by_engine() -> None:
    async def main() -> tuple[Batcher[int, int], Batcher[int, int]]:
        one: Batcher[int, int] = Batcher(list, max_batch=4, max_wait=0.005, name="silero")
        two: Batcher[int, int] = Batcher(list, max_wait=0.0, name="silero")
        await asyncio.gather(*(one.submit(i, 0.5) for i in range(7)), two.submit(1))
        await one.aclose()
        await two.aclose()
        return one, two

    engines = virtual.run(main())
    metrics = Metrics(Recorder())
    metrics.registry.register(EngineMetrics(lambda: [s for e in engines for s in e.stats]))
    seen = Snapshot.parse(metrics.render().decode(), 0.0)
    sizes = seen.distributions["streamer_engine_batch_size", "silero"]
    assert (sizes.count, sizes.total) == (2, 7)
    assert (sizes.cumulative[2.0], sizes.cumulative[4.0]) == (0, 2)
    waits = seen.distributions["streamer_engine_wait_seconds", "silero"]
    assert (waits.count, waits.cumulative[0.002], waits.cumulative[0.01]) == (7, 4, 7)
    assert seen.values["streamer_engine_audio_seconds_total", "silero"] == 3.5
    assert seen.distributions["streamer_engine_run_seconds", "silero"].count == 2
    assert seen.distributions["streamer_engine_batch_size", "silero 2"].total == 1
