"""``text.dictation``: spoken punctuation and commands become text."""

from __future__ import annotations

from streamer.captions.dictation import Dictation
from streamer.graph import In, Node, Out
from streamer.packets import Transcript

__all__ = ["TextDictation"]


class TextDictation(Node):
    """Spoken commands become text: "full stop", "comma", "new line", "scratch that".

    A final is a finished line, sent at "new line", "new paragraph" or the end of the stream;
    before that the line grows in partials, all of whose words may still be scratched.
    """

    kind = "text.dictation"
    transcript: In[Transcript]
    text: Out[Transcript]

    async def start(self) -> None:
        self._dictation = Dictation()
        self._start: float | None = None
        self._end = 0.0
        self._line = self._revision = 0

    async def process(self, transcript: Transcript) -> None:
        if self._start is None:
            self._start = transcript.start
        self._end = transcript.end
        if not transcript.final:
            await self._show(self._dictation.preview(transcript.text))
            return
        for line in self._dictation.add(transcript.text):
            await self._finish_line(line)
        await self._show(self._dictation.line)

    async def on_mark(self, mark: str) -> None:
        await self.finish()

    async def finish(self) -> None:
        for line in self._dictation.add("new line") if self._dictation.line else ():
            await self._finish_line(line)

    async def on_flush(self) -> None:
        self._dictation, self._start = Dictation(), None

    async def _show(self, text: str) -> None:
        if not (text or self._revision):
            return
        await self._send(text, final=False)
        self._revision += 1

    async def _finish_line(self, text: str) -> None:
        await self._send(text, final=True)
        self._line, self._revision, self._start = self._line + 1, 0, self._end

    async def _send(self, text: str, *, final: bool) -> None:
        start = self._end if self._start is None else self._start
        stable = len(text) if final else 0
        await self.text.send(
            Transcript(text, start, self._end, self._line, self._revision, stable, final)
        )
