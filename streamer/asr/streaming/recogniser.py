"""The recogniser that sessions share: their windows go through one engine in batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from streamer.asr.features import SAMPLE_RATE
from streamer.asr.streaming.engine import StreamingEngine
from streamer.asr.streaming.session import Windows
from streamer.batching import Batcher, EngineStats
from streamer.packets import Samples

__all__ = ["RecogniserStream", "StreamingRecogniser"]

T = TypeVar("T")

_BRIDGE = 1.0
"""Seconds of lost audio that are heard as silence; after more, the stream begins anew."""


class Heard(Protocol[T]):
    """One session's audio, as :class:`streamer.asr.streaming.decoder.Stream` has it."""

    windows: Windows

    @property
    def decoder(self) -> Listens[T]: ...

    def restart(self, base: float) -> None: ...

    def close(self) -> None: ...


class Listens(Protocol[T]):
    """What makes something of the encoder's frames: a decoder, a keyword spotter."""

    @property
    def engine(self) -> StreamingEngine: ...

    @property
    def chunk(self) -> int: ...

    def open(self) -> Heard[T]: ...

    def step(self, streams: Sequence[Any]) -> Sequence[list[T] | Exception]: ...


class StreamingRecogniser:
    """An engine on threads of its own, for any number of streams up to its slots.

    A batch takes at most ``max_batch`` windows and waits at most ``max_wait`` s for them;
    ``workers`` batches run side by side (more than one: the ONNX engine only).
    Streams may use different decoders, as long as all of them run on ``engine``.
    """

    def __init__(
        self,
        engine: StreamingEngine,
        *,
        max_batch: int = 32,
        max_wait: float = 0.005,
        workers: int = 1,
    ) -> None:
        self.engine = engine
        self._batcher: Batcher[Heard[Any], list[Any]] = Batcher(
            _run, max_batch=max_batch, max_wait=max_wait, workers=workers, name="transducer"
        )

    @property
    def stats(self) -> list[EngineStats]:
        """How full and how fast the batches were."""
        return self._batcher.stats

    def open(self, decoder: Listens[T]) -> RecogniserStream[T]:
        """A stream at media time 0; ``asr.no-slot`` when all slots are taken."""
        stream = RecogniserStream(decoder.open(), self._batcher)
        self._batcher.members += 1
        return stream

    async def aclose(self) -> None:
        """Wait for the batch under way and release the engine."""
        await self._batcher.aclose()
        self.engine.close()


class RecogniserStream(Generic[T]):
    """One session: audio in, transcripts out, or what else the decoder makes. One caller at a time.

    They carry absolute times, whatever was lost or flushed before them.
    """

    def __init__(self, stream: Heard[T], batcher: Batcher[Heard[Any], list[Any]]) -> None:
        self._stream, self._batcher = stream, batcher
        self._position = 0
        self._closed = False
        decoder = stream.decoder
        self._seconds = decoder.chunk * decoder.engine.info.frame_seconds

    async def accept(self, samples: Samples, start: int | None = None) -> list[T]:
        """Take mono samples ``[n]`` at 16 kHz; returns what became known.

        ``start`` is the index of the first sample since the stream began (default: it follows the
        last one). A short gap is heard as silence, a long one ends the segment; samples that came
        before are skipped. NaN and infinity raise ``asr.features.not_finite``, and nothing of
        ``samples`` is used.
        """
        said: list[T] = []
        gap = 0 if start is None else start - self._position
        if gap < 0:
            samples = samples[-gap:]
        elif gap > _BRIDGE * SAMPLE_RATE:
            said += await self.flush()
            self._position += gap
            self._stream.restart(self._position / SAMPLE_RATE)
        elif gap:
            self._take(np.zeros(gap, np.float32))
        self._take(samples)
        return said + await self._drain()

    async def flush(self) -> list[T]:
        """Finish what was heard so far, final included; the next sample begins a new segment."""
        self._stream.windows.end()
        said = await self._drain()
        self._stream.restart(self._position / SAMPLE_RATE)
        return said

    def forget(self) -> None:
        """Drop what was heard and not yet said; keep listening."""
        self._stream.restart(self._position / SAMPLE_RATE)

    def close(self) -> None:
        """Give the slot back. Doing it twice is harmless."""
        if not self._closed:
            self._closed = True
            self._batcher.members -= 1
            self._stream.close()

    def _take(self, samples: Samples) -> None:
        self._stream.windows.accept(samples)
        self._position += samples.size

    async def _drain(self) -> list[T]:
        said: list[T] = []
        while self._stream.windows.ready:
            said += await self._batcher.submit(self._stream, self._seconds)
        return said


def _run(streams: Sequence[Heard[Any]]) -> list[list[Any] | Exception]:
    """One window of each stream, decoder by decoder; a decoder's failure is its streams' alone."""
    groups: dict[int, list[int]] = {}
    for place, stream in enumerate(streams):
        groups.setdefault(id(stream.decoder), []).append(place)
    results: list[list[Any] | Exception] = [[] for _ in streams]
    for places in groups.values():
        group = [streams[place] for place in places]
        try:
            said: Sequence[list[Any] | Exception] = group[0].decoder.step(group)
        except Exception as error:
            said = [error] * len(group)
        for place, made in zip(places, said, strict=True):
            results[place] = made
    return results
