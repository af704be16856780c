"""Keyword spotting on the streaming engine: audio in, phrases with times out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from streamer.asr.streaming.engine import StreamingEngine
from streamer.asr.streaming.seat import Seat
from streamer.errors import ModelError
from streamer.events.keywords import Found, KeywordGraph, KeywordSpotter
from streamer.packets import AudioEvent

__all__ = ["KeywordDecoder", "KeywordStream"]


class KeywordStream(Seat):
    """One session's audio, and the phrases found in it."""

    def __init__(self, decoder: KeywordDecoder, base: float) -> None:
        super().__init__(decoder.engine, decoder.chunk)
        self.decoder = decoder
        self._begin(base)

    def restart(self, base: float) -> None:
        super().restart(base)
        self._begin(base)

    def _begin(self, base: float) -> None:
        self.spotter, self.base = KeywordSpotter(self.decoder.graph), base

    def events(self, found: Sequence[Found]) -> list[AudioEvent]:
        """With media times."""
        second = self.decoder.graph.frame_seconds
        return [
            AudioEvent(
                "keyword",
                one.phrase,
                "instant",
                self.base + one.start * second,
                self.base + one.end * second,
                one.confidence,
            )
            for one in found
        ]


class KeywordDecoder:
    """An engine, phrases and a chunk size (encoder frames); ``asr.model.ctc`` without CTC head."""

    def __init__(self, engine: StreamingEngine, graph: KeywordGraph, chunk: int) -> None:
        if not engine.info.has_ctc:
            raise ModelError(
                f"{engine.info.name} has no CTC head, which spotting needs",
                code="asr.model.ctc",
                hint="Use conformer-t-en, or another model with a CTC head.",
            )
        self.engine, self.graph, self.chunk = engine, graph, chunk

    def open(self, base: float = 0.0) -> KeywordStream:
        """A stream whose first sample is at media time ``base`` (s); ``asr.no-slot`` if full."""
        return KeywordStream(self, base)

    def step(self, streams: Sequence[KeywordStream]) -> list[list[AudioEvent]]:
        """One window of every stream (each must be ready); what was heard in it."""
        windows = np.stack([stream.windows.take() for stream in streams])
        encoded = self.engine.encode([stream.lease for stream in streams], windows)
        assert encoded.ctc is not None
        heard = []
        for stream, logps in zip(streams, encoded.ctc, strict=True):
            found = stream.spotter.push(logps)
            if stream.windows.finished:
                found += stream.spotter.finish()
            heard.append(stream.events(found))
        return heard
