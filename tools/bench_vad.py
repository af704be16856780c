"""What voice activity detection costs with many sessions: batched, and each call on a thread pool.

    python tools/bench_vad.py [--sessions 1 16 64 200] [--seconds 10]

Paced sessions of 20 ms frames in one process, nothing but the VAD. Prints CPU time for each chunk
of 32 ms (the bench's own pacing included), the share of a core, and the time from when a frame is
due until its result is there.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import numpy as np

from streamer.audio.decode import decode
from streamer.packets import AudioFrame
from streamer.vad.segmenter import SpeechSegmenter
from streamer.vad.shared import SharedVad
from streamer.vad.silero import CHUNK, RATE, SileroModel
from streamer.vad.stream import SpeechStream

ROOT = Path(__file__).parent.parent
FRAME = 320

Push = Callable[[AudioFrame], Awaitable[object]]


def alone(model: SileroModel) -> Push:
    """A stream whose every call goes to the default thread pool by itself."""
    stream = SpeechStream(SpeechSegmenter())

    async def push(frame: AudioFrame) -> None:
        for piece in stream.take(frame):
            (heard,) = await asyncio.to_thread(model.run_pieces, [piece])
            stream.heard(piece, heard)

    return push


async def measure(batched: bool, sessions: int, seconds: float, speech: np.ndarray) -> str:
    """One row of the table."""
    loop = asyncio.get_running_loop()
    model = SileroModel(ROOT / "models" / "silero-vad" / "silero_vad_16k_op15.onnx")
    vad = SharedVad(model)
    begin = loop.time() + 0.2
    latencies: list[float] = []

    async def session(number: int) -> None:
        push: Push = vad.open(SpeechSegmenter()).push if batched else alone(model)
        audio = np.roll(speech, -7919 * number)
        first = begin + number * 0.0137 % 0.032
        for n in range(int(seconds * RATE / FRAME)):
            due = first + n * FRAME / RATE
            await asyncio.sleep(due - loop.time())
            at = n * FRAME % (len(audio) - FRAME)
            await push(AudioFrame(audio[at : at + FRAME, None], RATE, n * FRAME))
            latencies.append(loop.time() - due)

    spent = time.process_time()
    await asyncio.gather(*(session(number) for number in range(sessions)))
    spent = time.process_time() - spent
    chunks = sessions * seconds * RATE / CHUNK
    p50, p99 = np.percentile(latencies, (50, 99)) * 1000
    mean = vad.stats[0].sizes.mean if batched else 1
    await vad.aclose()
    return (
        f"| {'batched' if batched else 'pool'} | {sessions} | {spent / chunks * 1e6:.0f} "
        f"| {spent / seconds:.0%} | {p50:.1f} | {p99:.1f} | {mean:.1f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sessions", type=int, nargs="+", default=[1, 16, 64, 200])
    parser.add_argument("--seconds", type=float, default=10.0)
    arguments = parser.parse_args()
    sample = decode(ROOT / "graphs" / "samples" / "austen.flac")
    speech = np.concatenate([frame.samples[:, 0] for frame in sample])
    print("| | sessions | µs a chunk | core | p50 ms | p99 ms | a batch |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    for sessions in arguments.sessions:
        for batched in (False, True):
            print(asyncio.run(measure(batched, sessions, arguments.seconds, speech)), flush=True)


if __name__ == "__main__":
    main()
