"""``asr.two_pass``: a transducer word by word, Moonshine behind it, and for the finals."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from streamer.asr.moonshine import RATE
from streamer.asr.newest import newest_words
from streamer.asr.segment import Segment
from streamer.asr.streaming import RecogniserStream
from streamer.asr.timing import borrow_times
from streamer.errors import InputError
from streamer.nodes.asr_moonshine import AsrMoonshine
from streamer.nodes.asr_transducer import AsrTransducer, open_stream
from streamer.packets import AudioFrame, SpeechSpan, Stamp, Transcript, Word

__all__ = ["AsrTwoPass"]


class AsrTwoPass(AsrMoonshine):
    """Partials of a streaming transducer, finals of Moonshine with the transducer's word times.

    While the machine has time, Moonshine corrects the partials as well, and the transducer only
    adds the newest words; with many sessions set ``refine: false``. What Moonshine has settled is
    never taken back, words of the transducer may be. Outputs: ``transcript`` (partials and
    finals) and ``final``.
    """

    kind = "asr.two_pass"

    class Config(AsrTransducer.Config, AsrMoonshine.Config):
        second: str = "moonshine-base-en"
        """The model of the second pass."""
        refine: bool = True
        """Whether the second pass corrects partials too, as often as the machine can."""

    _stream: RecogniserStream[Transcript] | None = None

    async def start(self) -> None:
        await super().start()
        self._tells, self._live = self._live, self._live and self.config.refine
        self._stream = await open_stream(self.config, self.ctx.resources)
        self._said: list[Word] = []
        """Words of the first pass that stand."""
        self._heard: tuple[Word, ...] = ()
        """Its words after those, as it hears them now."""
        self._seen: Transcript | None = None
        """The second pass's newest partial."""
        self._told = ""
        self._turn = asyncio.Lock()
        """Held from numbering a transcript to sending it."""
        self._first_pass = asyncio.Lock()
        """Held until the first pass has finished with a segment that has ended."""

    def _model(self) -> str:
        name: str = self.config.second
        return name

    async def process_audio(self, frame: AudioFrame) -> None:
        assert self._stream is not None
        try:
            said = await self._stream.accept(frame.samples[:, 0], frame.start)
        except InputError as error:
            self.ctx.report(error)  # its place in the stream is heard as a gap
            return
        before = self._open
        await super().process_audio(frame)
        self._hear(said)
        if before is not None and self._open is not before:  # endless speech was cut
            await self._flush()
        elif said:
            await self._tell()

    async def process_speech(self, span: SpeechSpan) -> None:
        if span.state != "end":
            await super().process_speech(span)
            return
        async with self._first_pass:
            await super().process_speech(span)
            await self._flush()

    async def on_flush(self) -> None:
        await super().on_flush()
        self._said, self._heard, self._seen = [], (), None
        if self._stream is not None:
            self._stream.forget()

    async def finish(self) -> None:
        await self._flush()
        await super().finish()

    async def close(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    async def _flush(self) -> None:
        assert self._stream is not None
        self._hear(await self._stream.flush())
        self._said += self._heard
        self._heard = ()

    def _hear(self, said: list[Transcript]) -> None:
        for transcript in said:
            if transcript.final:
                self._said += transcript.words
            self._heard = () if transcript.final else transcript.words
        oldest = self._ring.begin / RATE
        self._said = [word for word in self._said if word.end > oldest]

    def _words(self, segment: Segment) -> list[Word]:
        """What the first pass heard between the segment's samples."""
        begin, end = (at / RATE for at in (segment.begin, segment.end or self._ring.end))
        return [w for w in (*self._said, *self._heard) if w.end > begin and w.start < end]

    async def _tell(self) -> None:
        """Show what the first pass has heard of the open segment, once all before it are final."""
        async with self._turn:
            segment = self._open
            due = self._jobs or (self._current is not None and self._current.end is not None)
            if segment is None or due or not self._tells:
                return
            partial = self._joined(segment)
            if not partial.text or partial.text == self._told:
                return
            segment.revision += 1
            self._told = partial.text
            end = self._ring.end / RATE
            await self.transcript.send(replace(partial, revision=segment.revision, end=end))

    async def _show(self, partial: Transcript, segment: Segment, stamp: Stamp | None) -> None:
        async with self._turn:
            self._seen = partial
            joined = self._joined(segment) if self._tells else partial
            self._told = joined.text
            await self.transcript.send(joined, stamp)

    def _joined(self, segment: Segment) -> Transcript:
        """The second pass's newest partial of the segment, and what the first heard after it."""
        words: Sequence[Word] = self._words(segment)
        partial = self._seen
        if partial is None or partial.segment != segment.index:
            begin = segment.begin / RATE
            partial = Transcript("", begin, begin, segment.index, language="en")
        words = newest_words(partial.words, words, segment.decoded_to / RATE)
        text = " ".join([*([partial.text] if partial.text else []), *(w.text for w in words)])
        return replace(partial, text=text, words=(*partial.words, *words))

    async def _conclude(self, final: Transcript, segment: Segment, stamp: Stamp | None) -> None:
        async with self._first_pass, self._turn:
            words = borrow_times(final.words, self._words(segment))
            await super()._conclude(replace(final, words=words), segment, stamp)
