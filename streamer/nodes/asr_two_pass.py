"""``asr.two_pass``: a transducer while one speaks, Moonshine once the voice has stopped."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import Any

from pydantic import Field

from streamer.asr.cutting import quietest
from streamer.asr.moonshine import RATE
from streamer.asr.ring import AudioRing
from streamer.asr.segment import Segment
from streamer.asr.streaming import Decoder, EndpointRules, RecogniserStream
from streamer.asr.streaming.search import build_search
from streamer.asr.timing import borrow_times
from streamer.errors import InputError
from streamer.graph import In, Node, Out
from streamer.graph.units import Seconds
from streamer.nodes.asr_moonshine import moonshine_for
from streamer.nodes.asr_transducer import AsrTransducer, recogniser_for, search_spec
from streamer.packets import AudioFrame, SpeechSpan, Transcript, Word

__all__ = ["AsrTwoPass"]

PENDING = 4
"""Ended segments that may wait for the second pass before audio is held back."""
HISTORY = 10 * RATE
"""Samples kept while nobody speaks: the start of speech is known late."""
CUT_WINDOW = 5 * RATE
"""Endless speech is cut in the last five seconds before ``max_segment``."""


@dataclass(frozen=True)
class _Job:
    segment: Segment
    words: tuple[Word, ...]


class AsrTwoPass(Node):
    """Partials of the first pass, finals of the second with the word times of the first.

    The second pass may change every word, so partials have no stable part. Outputs:
    ``transcript`` (partials and finals) and ``final``.
    """

    kind = "asr.two_pass"
    audio: In[AudioFrame]
    speech: In[SpeechSpan]
    transcript: Out[Transcript]
    final: Out[Transcript]

    class Config(AsrTransducer.Config):
        second: str = "moonshine-base-en"
        """The model of the second pass."""
        max_segment: Seconds = Field(15.0, ge=8, le=30)
        """Longer speech is cut at its quietest place."""

    _stream: RecogniserStream[Transcript] | None = None

    @classmethod
    def needs(cls, config: Any) -> dict[str, dict[str, Any]]:
        return {"audio": {"rate": RATE, "channels": 1}}

    async def start(self) -> None:
        c: AsrTwoPass.Config = self.config
        recogniser = await recogniser_for(c, self.ctx.resources)
        engine = recogniser.engine
        chunk = engine.info.chunk_of(c.chunk)
        search = await self.ctx.call(lambda: build_search(engine, search_spec(c)))
        rules = EndpointRules(None, None, None)
        self._moonshine = await moonshine_for(c.second, self.ctx.resources)
        self._stream = recogniser.open(Decoder(engine, search, chunk, rules))
        self._ring = AudioRing()
        self._open: Segment | None = None
        self._heard: tuple[Word, ...] = ()
        self._count = 0
        self._jobs: asyncio.Queue[_Job] = asyncio.Queue(PENDING)
        self.ctx.spawn(self._second_pass())

    async def process_audio(self, frame: AudioFrame) -> None:
        assert self._stream is not None
        try:
            said = await self._stream.accept(frame.samples[:, 0], frame.start)
        except InputError as error:
            self.ctx.report(error)
            return
        self._ring.push(frame, self.ctx.stamp)
        await self._partial(said)
        limit = int(self.config.max_segment * RATE)
        if self._open is not None and self._ring.end >= self._open.begin + limit:
            window = self._ring.read(self._open.begin, self._ring.end)
            at = self._open.begin + quietest(window, limit - CUT_WINDOW, limit)
            await self._close(at, at)
            self._open = self._segment(at)
        if self._open is None and self._jobs.empty():
            self._ring.forget(self._ring.end - HISTORY)

    async def process_speech(self, span: SpeechSpan) -> None:
        if self._open is None:
            self._open = self._segment(max(int(span.start * RATE), self._ring.begin))
        if span.state == "end":
            end = self._ring.end if span.end is None else int(span.end * RATE)
            voice = end if span.speech_end is None else int(span.speech_end * RATE)
            await self._close(end, voice)

    async def finish(self) -> None:
        if self._open is not None:
            await self._close(self._ring.end, self._ring.end)
        await self._jobs.join()

    async def on_mark(self, mark: str) -> None:
        await self._jobs.join()

    async def on_flush(self) -> None:
        self._open, self._heard = None, ()
        while not self._jobs.empty():
            self._jobs.get_nowait()
            self._jobs.task_done()
        if self._stream is not None:
            self._stream.forget()

    async def close(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _segment(self, begin: int) -> Segment:
        self._count += 1
        return Segment(self._moonshine.model, self._count - 1, begin)

    async def _partial(self, said: list[Transcript]) -> None:
        """Show what the first pass has heard since the speech began, unless a final is due."""
        if not said:
            return
        self._heard = said[-1].words
        if self._open is None or not self._jobs.empty():
            return
        begin = self._open.begin / RATE
        words = tuple(w for w in self._heard if w.end > begin)
        if not words:
            return
        self._open.revision += 1
        await self.transcript.send(
            Transcript(
                " ".join(w.text for w in words),
                words[0].start,
                words[-1].end,
                segment=self._open.index,
                revision=self._open.revision,
                words=words,
                language="en",
            )
        )

    async def _close(self, end: int, voice_end: int) -> None:
        """Hand the open segment to the second pass; the first begins anew."""
        assert self._stream is not None and self._open is not None
        segment, self._open = self._open, None
        said = await self._stream.flush()
        words = said[-1].words if said else self._heard
        self._heard = ()
        segment.end, segment.voice_end = end, voice_end
        begin = segment.begin / RATE
        if end > segment.begin:
            await self._jobs.put(_Job(segment, tuple(w for w in words if w.end > begin)))

    async def _second_pass(self) -> None:
        while True:
            job = await self._jobs.get()
            try:
                await self._finalise(job)
            finally:
                self._jobs.task_done()

    async def _finalise(self, job: _Job) -> None:
        segment = job.segment
        assert segment.end is not None
        samples = self._ring.read(segment.begin, segment.end)
        told = segment.revision >= 0
        async with self._moonshine.final() as turn:
            decoded = await turn.run(segment.decode, samples, media=len(samples) / RATE)
        stamp = self._ring.stamp_at(segment.end)
        self.ctx.trace("final", turn.times, stamp)
        final = segment.final(decoded)
        if final.text or told:
            final = replace(final, words=borrow_times(final.words, job.words))
            await self.transcript.send(final, stamp)
            await self.final.send(final, stamp)
