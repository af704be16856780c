"""``asr.moonshine``: finals at endpoints, and partials by decoding the open segment again."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

from pydantic import Field

from streamer import hub
from streamer.asr.cutting import quietest
from streamer.asr.moonshine import RATE, Decoded, Moonshine
from streamer.asr.ring import AudioRing
from streamer.asr.second_pass import SharedMoonshine
from streamer.asr.segment import Segment
from streamer.batching import Turn
from streamer.graph import In, Node, Out
from streamer.graph.node import NodeConfig
from streamer.graph.resources import Resources
from streamer.graph.units import Seconds
from streamer.packets import AudioFrame, SpeechSpan, Stamp, Transcript

__all__ = ["AsrMoonshine", "moonshine_for"]

HISTORY = 10 * RATE
"""Samples kept while nobody speaks: a speech start may arrive late and lies in the past."""
BACKLOG = 60 * RATE
"""Samples of ended speech that may wait for decoding before audio is held back."""
SLACK = 2 * RATE
"""How far the audio may be ahead of the speech spans."""
MARGIN = RATE // 10
"""A hypothesis that has heard this much beyond the voice needs no final decoding."""
CUT_WINDOW = 5 * RATE
"""Endless speech is cut in the last five seconds before ``max_segment``."""


class AsrMoonshine(Node):
    """Recognises each speech span with Moonshine.

    Outputs: ``transcript`` (partials and finals) and ``final`` (finals only). The stable part of
    a partial is never taken back, also not by the final.
    """

    kind = "asr.moonshine"
    audio: In[AudioFrame]
    speech: In[SpeechSpan]
    transcript: Out[Transcript]
    final: Out[Transcript]

    class Config(NodeConfig):
        model: str = Field("moonshine-base-en", description="a model of `streamer models`")
        partials: bool = Field(True, description="whether to send partials")
        partial_interval: Seconds = Field(
            0.0,
            description="for files: partials at multiples of this, sent once the segment has "
            "ended, the same at any pace; 0: while it is spoken, as often as the machine can",
        )
        max_segment: Seconds = Field(
            15.0, ge=8, le=30, description="longer speech is cut at its quietest place"
        )
        agreement: Seconds = Field(
            2.0, description="hypotheses must agree for so long before words are stable"
        )

    @classmethod
    def needs(cls, config: Any) -> dict[str, dict[str, Any]]:
        return {"audio": {"rate": RATE, "channels": 1}}

    async def start(self) -> None:
        c: AsrMoonshine.Config = self.config
        self._moonshine = await moonshine_for(self._model(), self.ctx.resources)
        self._live = c.partials and not c.partial_interval
        self._ring = AudioRing()
        self._open: Segment | None = None
        self._jobs: deque[tuple[Segment, int | None]] = deque()
        """Segments to decode, each up to an index for a partial, or None for the final."""
        self._ahead: Segment | None = None
        """The open segment in a pause: its final decoding begins now, in case it ends."""
        self._count = 0
        self._current: Segment | None = None
        """The segment being decoded."""
        self._asked: Turn | None = None
        """The turn for which a partial waits."""
        self._ended = False
        self._news = asyncio.Condition()
        self.ctx.spawn(self._work())

    async def process_audio(self, frame: AudioFrame) -> None:
        self._ring.push(frame, self.ctx.stamp)
        limit = int(self.config.max_segment * RATE)
        while self._open is not None and self._ring.end >= self._open.begin + limit + SLACK:
            self._cut(self._open, limit)
        self._forget()
        async with self._news:
            self._news.notify_all()
            if self._waiting() > BACKLOG:
                await self._news.wait_for(lambda: self._waiting() <= BACKLOG)

    async def process_speech(self, span: SpeechSpan) -> None:
        if span.state == "start":
            if self._open is None:
                self._open = self._segment(int(span.start * RATE))
        elif span.state == "pause":
            if not self.config.partial_interval:
                self._supersede()
                self._ahead = self._open
        else:
            if self._open is None:  # restarted in the middle of it
                self._open = self._segment(max(int(span.start * RATE), self._ring.begin))
            voice_end = span.end if span.speech_end is None else span.speech_end
            self._close(self._open, span.end, voice_end)
        async with self._news:
            self._news.notify_all()

    async def on_mark(self, mark: str) -> None:
        await self._settle()

    async def on_flush(self) -> None:
        self._supersede()
        self._open = self._ahead = None
        self._jobs.clear()

    async def finish(self) -> None:
        self._ended = True
        if self._open is not None:
            end = self._ring.end / RATE
            self._close(self._open, end, end)
        await self._settle()

    # -- what asr.two_pass adds to ----------------------------------------------------------

    def _model(self) -> str:
        name: str = self.config.model
        return name

    async def _show(self, partial: Transcript, segment: Segment, stamp: Stamp | None) -> None:
        await self.transcript.send(partial, stamp)

    async def _conclude(self, final: Transcript, segment: Segment, stamp: Stamp | None) -> None:
        await self.transcript.send(final, stamp)
        await self.final.send(final, stamp)

    # -- segments ----------------------------------------------------------------------------

    def _segment(self, begin: int) -> Segment:
        self._count += 1
        return Segment(
            self._moonshine.model, self._count - 1, begin, int(self.config.agreement * RATE)
        )

    def _close(self, segment: Segment, end: float | None, voice_end: float | None) -> None:
        self._open = None
        segment.end = self._ring.end if end is None else int(end * RATE)
        segment.voice_end = None if voice_end is None else int(voice_end * RATE)
        if segment.end > segment.begin:
            self._schedule(segment, segment.end)

    def _cut(self, segment: Segment, limit: int) -> None:
        samples = self._ring.read(segment.begin, segment.begin + limit)
        at = segment.begin + quietest(samples, limit - CUT_WINDOW, limit)
        segment.end = at
        self._schedule(segment, at)
        self._open = self._segment(at)

    def _schedule(self, segment: Segment, end: int) -> None:
        self._supersede()
        interval = int(self.config.partial_interval * RATE)
        if self.config.partials and interval:
            self._jobs += ((segment, to) for to in range(segment.begin + interval, end, interval))
        self._jobs.append((segment, None))

    def _supersede(self) -> None:
        """A live partial that still waits is not wanted any more."""
        if self._asked is not None:
            self._asked.withdraw()

    def _waiting(self) -> int:
        return sum((s.end or s.begin) - s.begin for s, to in self._jobs if to is None)

    def _forget(self) -> None:
        keep = [self._ring.end - HISTORY]
        if self._open is not None:
            keep.append(self._open.begin)
        if self._current is not None:
            keep.append(self._current.begin)
        keep += [segment.begin for segment, _ in self._jobs]
        self._ring.forget(min(keep))

    async def _settle(self) -> None:
        async with self._news:
            self._news.notify_all()
            await self._news.wait_for(lambda: not self._jobs and self._current is None)

    # -- decoding ----------------------------------------------------------------------------

    async def _work(self) -> None:
        """Finals in order; when there are none, a partial of the open segment."""
        while True:
            async with self._news:
                self._current = None
                self._news.notify_all()
                await self._news.wait_for(lambda: self._next() is not None)
                job = self._next()
                assert job is not None
                if self._jobs:
                    self._jobs.popleft()
                segment, upto = job
                self._current = segment
                ahead = self._ahead is segment
                if ahead:
                    self._ahead = None
            if upto is None:
                await self._finalise(segment)
            else:
                await self._partial(segment, upto, ahead)

    def _next(self) -> tuple[Segment, int | None] | None:
        if self._jobs:
            segment, upto = self._jobs[0]
            needed = upto or segment.end or 0
            return self._jobs[0] if self._ended or self._ring.end >= needed else None
        if self._open is not None and self._ahead is self._open:
            return (self._open, self._ring.end)
        if not self._live or self._open is None:
            return None
        segment = self._open
        heard = max(segment.decoded_to, segment.begin)
        step = RATE // 5 if segment.decoded_to else RATE * 6 // 10
        return (segment, self._ring.end) if self._ring.end >= heard + step else None

    async def _partial(self, segment: Segment, upto: int, ahead: bool) -> None:
        live = not self.config.partial_interval
        if ahead:
            turn = self._moonshine.final()
        else:
            turn = self._moonshine.partial(not segment.decoded_to)
        self._asked = turn if live and not ahead else None
        async with turn:
            self._asked = None
            if not turn.granted:
                return
            if live:  # more was said while it waited
                upto = self._ring.end
            decoded = await self._decode(turn, segment, upto)
        stamp = self._ring.stamp_at(upto)
        self.ctx.trace("ahead" if ahead else "partial", turn.times, stamp)
        partial = segment.partial(decoded, upto)
        if partial is not None and self.config.partials:
            await self._show(partial, segment, stamp)

    async def _finalise(self, segment: Segment) -> None:
        assert segment.end is not None
        decoded, stamp = None, self._ring.stamp_at(segment.end)
        if not segment.heard_enough(MARGIN):
            async with self._moonshine.final() as turn:
                decoded = await self._decode(turn, segment, segment.end)
            self.ctx.trace("final", turn.times, stamp)
        told = segment.revision >= 0
        final = segment.final(decoded)
        if final.text or told:
            await self._conclude(final, segment, stamp)

    async def _decode(self, turn: Turn, segment: Segment, upto: int) -> Decoded:
        samples = self._ring.read(segment.begin, upto)
        return await turn.run(segment.decode, samples, media=len(samples) / RATE)


async def moonshine_for(name: str, resources: Resources) -> SharedMoonshine:
    """The model that all nodes with the same setting share."""
    return await resources.get(("moonshine", name), lambda: _load(name))


def _load(name: str) -> SharedMoonshine:
    files = hub.resolve(name, task="asr.final", rate=RATE, front_end="samples").files
    return SharedMoonshine(Moonshine(files["encoder"], files["decoder"], files["tokenizer"]))
