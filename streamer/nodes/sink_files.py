"""``sink.webvtt``, ``sink.srt``, ``sink.jsonl``, ``sink.text``: transcripts into files."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

from pydantic import Field

from streamer.captions.formats import Format, JsonLines, PlainText, Srt, WebVtt
from streamer.captions.output import RecordFile
from streamer.graph import In, Node
from streamer.graph.node import NodeConfig
from streamer.graph.units import Seconds
from streamer.packets import AudioEvent, Transcript

__all__ = ["SinkJsonl", "SinkSrt", "SinkText", "SinkWebvtt"]


class _FileSink(Node):
    """Writes each transcript as it comes; the file is whole at any moment."""

    transcript: In[Transcript] = In(many=True)

    class Config(NodeConfig):
        path: str = Field("-", description="the file, overwritten; - is standard output")

    def form(self) -> Format:
        raise NotImplementedError

    _forms: ClassVar[WeakKeyDictionary[Any, Format]] = WeakKeyDictionary()
    """By context, which outlives a restart: the file then goes on where it was."""

    async def start(self) -> None:
        restarted = self.ctx in self._forms
        self._form = self._forms.setdefault(self.ctx, self.form())
        self._file: RecordFile | None = await self.ctx.call(
            partial(RecordFile, self.config.path, keep=restarted)
        )
        if self._form.header and not restarted:
            await self.ctx.call(self._file.append, self._form.header)

    async def process(self, transcript: Any) -> None:
        if isinstance(transcript, Transcript) and not (transcript.final or self._form.partials):
            return
        stamp = self.ctx.stamp
        age = (self.ctx.now_ns() - stamp.captured_ns) / 1e9 if stamp.captured_ns else 0.0
        record = self._form.record(transcript, age)
        if record and self._file is not None:
            await self.ctx.call(self._file.append, record)

    async def close(self) -> None:
        file: Any = getattr(self, "_file", None)
        if file is not None:
            self._file = None
            await self.ctx.call(file.close)


class SinkWebvtt(_FileSink):
    """Finals as WebVTT cues."""

    kind = "sink.webvtt"

    def form(self) -> Format:
        return WebVtt()


class SinkSrt(_FileSink):
    """Finals as SubRip cues."""

    kind = "sink.srt"

    def form(self) -> Format:
        return Srt()


class SinkText(_FileSink):
    """Finals as lines of text."""

    kind = "sink.text"

    class Config(_FileSink.Config):
        paragraph: Seconds = Field(0.0, description="a pause that begins a paragraph; 0: none")

    def form(self) -> Format:
        return PlainText(paragraph=self.config.paragraph)


class SinkJsonl(_FileSink):
    """Partials, finals and events as JSON objects, one a line."""

    kind = "sink.jsonl"
    transcript: In[Transcript | AudioEvent] = In(many=True)  # type: ignore[assignment]

    class Config(_FileSink.Config):
        partials: bool = Field(True, description="write partials too")

    def form(self) -> Format:
        return JsonLines(partials=self.config.partials)
