"""``tts.speak``: speaks an answer while it is still being written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from pydantic import Field

from streamer.graph import In, Node, NodeConfig, Out
from streamer.packets import ReplyText, SpokenAudio
from streamer.tts.clauses import ClauseCutter
from streamer.tts.hibari import HibariVoice
from streamer.tts.plain import PlainText
from streamer.tts.voice import Run, Voice

__all__ = ["TtsSpeak"]

RUN = 0.2
"""Seconds of sound in one packet: what an interruption in the middle of a clause can waste."""


class TtsSpeak(Node):
    """Cuts the text into clauses and speaks each as soon as it is complete.

    The next clause is made while this one plays; how far ahead is the `queue` of the edge behind
    (2 s of speech unless it says otherwise). An interruption ends everything at once.
    """

    kind = "tts.speak"
    text: In[ReplyText]
    audio: Out[SpokenAudio]

    class Config(NodeConfig):
        voice: str = "heart"
        """A voice of hibari-tts; others than `heart` are fetched on first use."""
        speed: float = Field(1.0, ge=0.5, le=2.0)
        """1.0 is the voice's own pace."""

    async def start(self) -> None:
        c = self.config
        self._voice: Voice = await self.ctx.resources.get(
            ("tts", c.voice, c.speed), lambda: _warm(HibariVoice(c.voice, c.speed))
        )
        self._begin(-1)

    def _begin(self, turn: int) -> None:
        self._turn, self._clause, self._at = turn, 0, 0
        self._cutter, self._plain = ClauseCutter(), PlainText()

    async def process(self, reply: ReplyText) -> None:
        if reply.turn != self._turn:
            self._begin(reply.turn)
        clauses = self._cutter.push(reply.text)
        if reply.last:
            clauses += self._cutter.flush()
        for clause in clauses:
            words = self._plain(clause)
            if words and not self._stale:
                await self._say(words)
        if reply.last and not self._stale:
            empty = np.zeros(0, np.float32)
            await self._send(empty, (), last=True)
            self._begin(-1)

    async def on_interrupt(self, generation: int) -> None:
        self._begin(-1)

    async def on_flush(self) -> None:
        self._begin(-1)

    @property
    def _stale(self) -> bool:
        return self.ctx.stamp.generation < self.ctx.generation

    async def _say(self, text: str) -> None:
        runs = self._voice.speak(text)
        begun = self._at / self._voice.rate
        at = 0
        while (run := await self.ctx.call(_next, runs)) is not None:
            step = int(RUN * self._voice.rate)
            for begin in range(0, run.samples.shape[0], step):
                if self._stale:
                    return
                part = run.samples[begin : begin + step]
                low = (at + begin) / self._voice.rate
                high = (at + begin + part.shape[0]) / self._voice.rate
                last = begin + step >= run.samples.shape[0]
                words = tuple(
                    _later(w, begun)
                    for w in run.words
                    if low <= w.start and (w.start < high or last)
                )
                await self._send(part, words)
            at += run.samples.shape[0]
        self._clause += 1

    async def _send(self, samples: Any, words: Any, last: bool = False) -> None:
        start = self._at / self._voice.rate
        self._at += samples.shape[0]
        packet = SpokenAudio(
            self._turn, self._clause, samples, self._voice.rate, start, words, last
        )
        await self.audio.send(packet)


def _next(runs: Iterator[Run]) -> Run | None:
    return next(runs, None)


def _later(word: Any, seconds: float) -> Any:
    return type(word)(word.text, word.start + seconds, word.end + seconds, word.confidence)


def _warm(voice: HibariVoice) -> HibariVoice:
    """The first sentence costs more than the others."""
    list(voice.speak("Ready."))
    return voice
