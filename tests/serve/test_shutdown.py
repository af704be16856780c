"""SIGTERM to the real program, with real models, while clients are speaking."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import soxr
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from streamer.audio.decode import decode

ROOT = Path(__file__).parents[2]
SPEECH = ROOT / "graphs" / "samples" / "austen.flac"


def _pcm() -> bytes:
    frames = list(decode(SPEECH))
    mono = np.concatenate([frame.samples.mean(axis=1) for frame in frames])
    sound = soxr.resample(mono, frames[0].rate, 16000)
    return (sound * 32767).astype("<i2").tobytes()


async def _speak(url: str, pcm: bytes, speaking: asyncio.Event) -> list[dict[str, Any]]:
    """Speak in real time until the server ends it; all that it said."""
    heard: list[dict[str, Any]] = []

    async def listen() -> None:
        async for message in socket:
            heard.append(json.loads(message))
            if heard[-1]["type"] == "partial":
                speaking.set()

    async with connect(url) as socket:
        await socket.send('{"type":"start"}')
        listener = asyncio.create_task(listen())
        try:
            for at in range(0, len(pcm), 3200):
                await socket.send(pcm[at : at + 3200])
                await asyncio.sleep(0.1)
        except ConnectionClosed:
            pass
        await asyncio.wait_for(listener, 20)
        assert socket.close_code == 1000
    return heard


def test_sigterm_gives_every_session_its_final_and_done() -> None:
    pcm = _pcm()

    async def main() -> list[list[dict[str, Any]]]:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "streamer", "serve", "graphs/serve-captions.yaml"),
            *("--port", "0"),
            cwd=ROOT,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            assert process.stderr is not None
            line = ""
            while not (found := re.search(r"ws://\S+", line)):
                line = (await asyncio.wait_for(process.stderr.readline(), 60)).decode()
                assert line, "the server ended"
            events = [asyncio.Event() for _ in range(3)]
            clients = [asyncio.create_task(_speak(found[0], pcm, event)) for event in events]
            async with asyncio.timeout(40):
                for event in events:
                    await event.wait()
            process.send_signal(signal.SIGTERM)
            heard = await asyncio.gather(*clients)
            assert await asyncio.wait_for(process.wait(), 20) == 0
            return heard
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    for heard in asyncio.run(main()):
        kinds = [message["type"] for message in heard]
        assert kinds[-1] == "done" and "error" not in kinds
        spoken = {m["segment"] for m in heard if m["type"] == "partial" and m["text"]}
        final = {m["segment"] for m in heard if m["type"] == "final"}
        assert spoken and spoken <= final, "a segment that was shown has no final"
