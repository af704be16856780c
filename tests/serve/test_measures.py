"""``/metrics`` of a real service that has recognised real speech."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from streamer.audio.decode import decode
from streamer.graph.build import load_graph
from streamer.nodes import registry
from streamer.serve.limits import Limits
from streamer.serve.service import Settings, serve
from streamer.trace.scrape import Snapshot

GRAPH = Path(__file__).parents[2] / "graphs" / "serve-captions.yaml"


def scrape(url: str) -> Snapshot:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return Snapshot.parse(answer.read().decode(), 0.0)


async def until(socket: ClientConnection, kind: str) -> None:
    async with asyncio.timeout(30):
        while json.loads(await socket.recv())["type"] != kind:
            pass


def test_a_service_tells_of_sessions_engines_latencies_and_its_loop(
    sample: Path, tmp_path: Path
) -> None:
    speech = np.concatenate([frame.samples[:, 0] for frame in decode(sample)])
    pcm = (speech[8 * 16000 : 12 * 16000] * 32767).astype("<i2")

    graph = tmp_path / "graph.yaml"
    graph.write_text(GRAPH.read_text().replace("asr.two_pass,", "asr.two_pass, partials: false,"))
    plan = load_graph(graph, registry())

    async def main() -> Snapshot:
        settings = Settings(port=0, limits=Limits(sessions=1, queue=0, resume=0))
        async with serve(plan, settings) as (gateway, port):
            url = f"ws://127.0.0.1:{port}/v1/stream"
            async with connect(url) as socket:
                await socket.send('{"type":"start"}')
                await until(socket, "ready")
                with pytest.raises(InvalidStatus):
                    await connect(url)
                for at in range(0, len(pcm), 1600):
                    await socket.send(pcm[at : at + 1600].tobytes())
                    await asyncio.sleep(0.02)
                await socket.send('{"type":"end"}')
                await until(socket, "done")
            async with connect(url) as socket:
                await socket.send('{"type":"start"}')
                await until(socket, "ready")
                await socket.send(pcm[:1600].tobytes())
            await asyncio.gather(*(s.ended() for s in gateway.sessions.open.values()))
            await asyncio.sleep(0.05)
            return await asyncio.to_thread(scrape, f"http://127.0.0.1:{port}/metrics")

    seen = asyncio.run(main())
    assert seen.service["streamer_sessions"] == 0
    assert seen.service["streamer_sessions_admitted_total"] == 2
    assert seen.service["streamer_sessions_refused_total"] == 1
    ended = {k: v for k, v in seen.service.items() if k.startswith("streamer_sessions_ended")}
    assert ended == {
        "streamer_sessions_ended_total outcome=ended": 1,
        "streamer_sessions_ended_total outcome=failed": 0,
        "streamer_sessions_ended_total outcome=aborted": 1,
    }
    assert seen.service["streamer_audio_seconds_total"] == pytest.approx(4.1)
    for name in ("first_partial", "final"):
        latency = seen.service_distributions[f"streamer_{name}_seconds graph=serve-captions"]
        assert latency.count == 1
        assert 0 < latency.total < 20
    assert seen.service_distributions["streamer_event_loop_lag_seconds"].count > 10

    def engine(metric: str, name: str) -> float:
        return seen.values[f"streamer_engine_{metric}", name]

    assert 4.0 <= engine("audio_seconds_total", "silero") < 4.2
    assert 3.0 < engine("audio_seconds_total", "moonshine.final") < 4.0
    run = seen.distributions["streamer_engine_run_seconds", "moonshine.final"]
    assert run.count == 1
    assert 0.005 < run.total / engine("audio_seconds_total", "moonshine.final") < 2, "RTF"
    step = seen.distributions["streamer_node_work_seconds", "asr: final"]
    assert step.count == 1
    assert abs(step.total - run.total) < 0.01
