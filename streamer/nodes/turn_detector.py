"""``turn.detector``: whose turn it is."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace

from pydantic import Field

from streamer.graph import In, Node, NodeConfig, Out
from streamer.graph.units import Seconds
from streamer.packets import Played, SpeechSpan, Stamp, Transcript, UserTurn
from streamer.turns.detector import Decision, TurnDetector, TurnRules

__all__ = ["TurnDetectorNode"]


class TurnDetectorNode(Node):
    """Decides when a person has finished and when a person interrupts.

    Silence, punctuation and completeness of the text decide together; an unfinished sentence
    ("turn on the") gets more time. While the assistant speaks, speech pauses playback at once;
    words interrupt it, nods ("mm-hm"), the assistant's echo and noises let it go on.
    A turn is stamped with the end of its speech, so the age of the answer at the speaker is the
    voice-to-voice latency. Each decision is logged, and traced under its reason.
    """

    kind = "turn.detector"
    transcript: In[Transcript]
    speech: In[SpeechSpan]
    played: In[Played] = In(optional=True)
    turn: Out[UserTurn]

    class Config(NodeConfig):
        complete: Seconds = Field(0.25, description="silence that ends a complete sentence")
        open: Seconds = Field(0.6, description="silence that ends a text without punctuation")
        incomplete: Seconds = Field(1.5, description="silence that ends an unfinished sentence")
        late_final: Seconds = Field(3.0, description="how long the recogniser is waited for")
        no_words: Seconds = Field(
            0.6, description="after speech without words the assistant goes on so much later"
        )
        wordless: Seconds = Field(
            2.0, description="how long a sound without words may hold the assistant up"
        )
        min_confidence: float = Field(
            0.4, ge=0, le=1, description="mean confidence of words that may interrupt"
        )

    async def start(self) -> None:
        self._rules = TurnDetector(TurnRules(**self.config.model_dump()))
        self._index = -1
        self._news = asyncio.Event()
        self._order = asyncio.Lock()
        self._last = Stamp(session=self.ctx.session)
        """Of the newest speech, for media time and clock time of any other moment."""
        self.ctx.spawn(self._watch())

    async def process_speech(self, span: SpeechSpan) -> None:
        stamp, now = self.ctx.stamp, self.ctx.now_ns()
        self._last = stamp if stamp.captured_ns else replace(stamp, captured_ns=now)
        async with self._order:
            voice_end = self._clock(span.speech_end or 0.0) / 1e9
            await self._act(self._rules.speech(span, now / 1e9, voice_end))

    async def process_transcript(self, transcript: Transcript) -> None:
        async with self._order:
            await self._act(self._rules.transcript(transcript, self.ctx.now_ns() / 1e9))

    async def process_played(self, played: Played) -> None:
        async with self._order:
            await self._act(self._rules.played(played, self._index, self.ctx.now_ns() / 1e9))

    async def on_mark(self, mark: str) -> None:
        await self._close("mark")

    async def on_flush(self) -> None:
        self._rules.forget()
        self.ctx.pause(False)

    async def finish(self) -> None:
        await self._close("end of stream")

    async def _close(self, reason: str) -> None:
        async with self._order:
            await self._act(self._rules.close(reason, self.ctx.now_ns() / 1e9))

    async def _watch(self) -> None:
        """Ticks when silence decides."""
        loop = asyncio.get_running_loop()
        while True:
            deadline = self._rules.deadline
            if deadline is not None and deadline <= loop.time():
                async with self._order:
                    await self._act(self._rules.tick(loop.time()))
                continue
            self._news.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(deadline):
                    await self._news.wait()

    async def _act(self, decisions: list[Decision]) -> None:
        self._news.set()
        for decision in decisions:
            if decision.kind == "interrupt":
                await self.ctx.interrupt()
            elif decision.kind != "turn":
                self.ctx.pause(decision.kind == "pause")
            self._note(decision)
            if decision.kind == "turn":
                await self._send(decision)

    async def _send(self, decision: Decision) -> None:
        self._index += 1
        stamp = replace(
            self._last,
            position=int(decision.end * self._last.rate),
            captured_ns=int(decision.since * 1e9),
            generation=self.ctx.generation,
        )
        d = decision
        await self.turn.send(UserTurn(self._index, d.text, d.start, d.end, d.reason), stamp)

    def _note(self, decision: Decision) -> None:
        now = self.ctx.now_ns() / 1e9
        step = f"{decision.kind}: {decision.reason}"
        self.ctx.trace(step, (decision.since, decision.since, now), None)
        waited = now - decision.since
        self.ctx.log.info("%s after %.3f s: %r", step, waited, decision.text)

    def _clock(self, seconds: float) -> int:
        """Clock time (ns) at which the media time ``seconds`` was captured."""
        return self._last.captured_ns - int((self._last.seconds - seconds) * 1e9)
