"""Windows of many streams through engine and search, one batch at a time; no threads, no loop."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from streamer.asr.streaming.endpoint import EndpointRules
from streamer.asr.streaming.engine import StreamingEngine
from streamer.asr.streaming.search import Search
from streamer.asr.streaming.seat import Seat
from streamer.asr.streaming.session import Segmenter
from streamer.asr.streaming.text import Detokeniser
from streamer.packets import Samples, Transcript

__all__ = ["Decoder", "Stream"]


class Stream(Seat):
    """One session's audio, and what is said in it."""

    def __init__(self, decoder: Decoder, base: float) -> None:
        super().__init__(decoder.engine, decoder.chunk)
        self.decoder = decoder
        self.segmenter = Segmenter(
            decoder.search, decoder.words, decoder.engine.info, decoder.rules
        )
        self.segmenter.base = base

    def restart(self, base: float) -> None:
        super().restart(base)
        self.segmenter.restart(base)


class Decoder:
    """An engine, a search, a chunk size (encoder frames) and endpoint rules.

    Several decoders may share an engine, as long as one thread at a time calls ``step``.
    """

    def __init__(
        self,
        engine: StreamingEngine,
        search: Search,
        chunk: int | None = None,
        rules: EndpointRules | None = None,
    ) -> None:
        self.engine, self.search = engine, search
        self.chunk = chunk or engine.info.chunk
        self.rules = rules or EndpointRules()
        self.words = Detokeniser(engine.info)

    def open(self, base: float = 0.0) -> Stream:
        """A stream whose first sample is at media time ``base`` (s); ``asr.no-slot`` if full."""
        return Stream(self, base)

    def step(self, streams: Sequence[Stream]) -> list[list[Transcript]]:
        """One window of every stream (each must be ready); what each has to say after it."""
        windows = np.stack([stream.windows.take() for stream in streams])
        encoded = self.engine.encode([stream.lease for stream in streams], windows)
        self.search.advance([stream.segmenter.state for stream in streams], encoded)
        said = []
        for stream in streams:
            made, silent = stream.segmenter.update()
            if silent:
                stream.reset()
            if stream.windows.finished:
                made += stream.segmenter.finish()
            said.append(made)
        return said

    def transcribe(self, audio: Iterable[Samples], batch: int = 16) -> Iterator[list[Transcript]]:
        """Whole recordings, ``batch`` at a time, in order; finals only."""
        waiting = iter(audio)
        order: deque[tuple[Stream, list[Transcript]]] = deque()
        running: list[tuple[Stream, list[Transcript]]] = []
        while True:
            running = [pair for pair in running if _going(pair[0])]
            while order and order[0][0].windows.finished:
                yield order.popleft()[1]
            for samples in itertools.islice(waiting, batch - len(running)):
                stream = self.open()
                stream.windows.accept(samples)
                stream.windows.end()
                order.append((stream, []))
                if _going(stream):
                    running.append(order[-1])
            if running:
                every = self.step([stream for stream, _ in running])
                for (_, finals), said in zip(running, every, strict=True):
                    finals += [transcript for transcript in said if transcript.final]
            elif not order:
                return


def _going(stream: Stream) -> bool:
    if stream.windows.ready:
        return True
    stream.close()
    return False
