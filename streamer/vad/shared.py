"""The model for many streams at once."""

from __future__ import annotations

from streamer.batching import Batcher, EngineStats
from streamer.packets import AudioFrame, Samples, SpeechSpan
from streamer.vad.segmenter import SpeechSegmenter
from streamer.vad.silero import CHUNK, RATE, Piece, SileroModel
from streamer.vad.stream import SpeechStream

__all__ = ["SharedStream", "SharedVad"]

MAX_BATCH = 64
"""Beyond it a batch is no cheaper per chunk."""
MAX_WAIT = 0.002
"""Seconds that a chunk (32 ms) waits for those of other streams."""


class SharedVad:
    """Silero on a thread of its own; the chunks of all streams go through it in batches."""

    def __init__(self, model: SileroModel) -> None:
        self._batcher: Batcher[Piece, Samples] = Batcher(
            model.run_pieces, max_batch=MAX_BATCH, max_wait=MAX_WAIT, name="silero"
        )

    @property
    def stats(self) -> list[EngineStats]:
        """How full and how fast the batches were."""
        return self._batcher.stats

    def open(self, segmenter: SpeechSegmenter) -> SharedStream:
        """A stream at media time 0; close it when it is not needed any more."""
        self._batcher.members += 1
        return SharedStream(self, SpeechStream(segmenter))

    async def aclose(self) -> None:
        """Wait for the batch under way and end the thread."""
        await self._batcher.aclose()


class SharedStream:
    """One session: frames in, speech starts and ends out. One caller at a time."""

    def __init__(self, vad: SharedVad, stream: SpeechStream) -> None:
        self._batcher, self._stream = vad._batcher, stream

    async def push(self, frame: AudioFrame) -> list[SpeechSpan]:
        """Take a frame (16 kHz mono); returns what began or ended."""
        return await self._run(self._stream.take(frame))

    async def finish(self) -> list[SpeechSpan]:
        """Close an open span: the stream, or what is wanted of it, ends here."""
        return await self._run(self._stream.rest()) + self._stream.finish()

    def close(self) -> None:
        """Nobody waits for this stream any more."""
        self._batcher.members -= 1

    async def _run(self, pieces: list[Piece]) -> list[SpeechSpan]:
        events: list[SpeechSpan] = []
        for piece in pieces:
            seconds = len(piece.samples) * CHUNK / RATE
            events += self._stream.heard(piece, await self._batcher.submit(piece, seconds))
        return events
