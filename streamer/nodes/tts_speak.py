"""``tts.speak``: speaks an answer while it is still being written."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from pydantic import Field, model_validator

from streamer.errors import StreamerError
from streamer.graph import In, Node, NodeConfig, Out
from streamer.graph.units import Seconds
from streamer.packets import ReplyText, SpokenAudio, Word
from streamer.tts.clauses import ClauseCutter
from streamer.tts.plain import PlainText
from streamer.tts.voice import Run, Voice

__all__ = ["TtsSpeak"]

RUN = 0.2
"""Seconds of sound in one packet: what an interruption in the middle of a clause can waste."""
CHECK = 0.01
"""Seconds between looks for an interruption while the voice is at work."""


class TtsSpeak(Node):
    """Cuts the text into clauses and speaks each as soon as it is complete.

    The next clause is made while this one plays; how far ahead is the `queue` of the edge behind
    (0.4 s of speech unless it says otherwise). An interruption ends everything at once. A clause
    that the voice cannot say is reported, and the next one is tried.
    """

    kind = "tts.speak"
    text: In[ReplyText]
    audio: Out[SpokenAudio]

    class Config(NodeConfig):
        engine: Literal["hibari", "piper", "openai"] = "hibari"
        """`openai` is any server with OpenAI's `/audio/speech`, heard while it sends."""
        voice: str = ""
        """hibari: a name, `heart` by default, others are fetched on first use; piper: an `.onnx`
        file, by default the voice joe; openai: the server's name for it, `alloy` by default."""
        speed: float = Field(1.0, ge=0.5, le=2.0)
        """1.0 is the voice's own pace."""
        url: str = ""
        """openai: where, such as `http://localhost:8880/v1`."""
        model: str = "tts-1"
        """openai: the server's name for it."""
        key_env: str = "OPENAI_API_KEY"
        """openai: the environment variable that holds the key, if the server wants one."""
        timeout: Seconds = 10.0
        """openai: how long the server may be silent."""

        @model_validator(mode="after")
        def _has_url(self) -> TtsSpeak.Config:
            if (self.engine == "openai") != bool(self.url):
                raise ValueError("`url` goes with `engine: openai`, and only with it")
            return self

    async def start(self) -> None:
        config = self.config
        key = ("tts", config)
        self._voice: Voice = await self.ctx.resources.get(key, lambda: _open(config))
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
        runs: Any = self._voice.speak(text)
        begun = self._at
        try:
            while (run := await self._next(runs)) is not None:
                await self._pass_on(run, begun)
                if self._stale:
                    await self.ctx.call(runs.close)
                    return
        except StreamerError as error:
            self.ctx.report(error)
        self._clause += 1

    async def _next(self, runs: Iterator[Run]) -> Run | None:
        """The next run; None at the end, or as soon as nobody wants it any more."""
        step = self.ctx.call(next, runs, None)
        work: asyncio.Future[Run | None] = asyncio.ensure_future(step)
        while not (await asyncio.wait({work}, timeout=CHECK))[0]:
            if self._stale:
                self.ctx.spawn(_abandon(work, self.ctx.call, runs))
                return None
        return work.result()

    async def _pass_on(self, run: Run, begun: int) -> None:
        """``run`` in short packets; ``begun`` is the sample at which its clause began."""
        rate, offset, words = self._voice.rate, begun / self._voice.rate, list(run.words)
        step = int(RUN * rate)
        for begin in range(0, run.samples.shape[0], step):
            if self._stale:
                return
            part = run.samples[begin : begin + step]
            last = begin + step >= run.samples.shape[0]
            now = (self._at - begun + part.shape[0]) / rate
            count = len(words) if last else sum(w.start < now for w in words)
            await self._send(part, tuple(_later(w, offset) for w in words[:count]))
            del words[:count]

    async def _send(self, samples: Any, words: Any, last: bool = False) -> None:
        start = self._at / self._voice.rate
        self._at += samples.shape[0]
        packet = SpokenAudio(
            self._turn, self._clause, samples, self._voice.rate, start, words, last
        )
        await self.audio.send(packet)


def _later(word: Word, seconds: float) -> Word:
    return replace(word, start=word.start + seconds, end=word.end + seconds)


async def _abandon(work: asyncio.Future[Run | None], call: Any, runs: Any) -> None:
    with contextlib.suppress(StreamerError):
        await work
    await call(runs.close)


def _open(config: Any) -> Voice:
    voice: Voice
    if config.engine == "openai":
        from streamer.tts.endpoint import EndpointVoice

        return EndpointVoice(
            config.url,
            model=config.model,
            voice=config.voice or "alloy",
            key=os.environ.get(config.key_env, ""),
            speed=config.speed,
            timeout=config.timeout,
        )
    if config.engine == "piper":
        from streamer.tts.piper import PiperVoice

        voice = PiperVoice(config.voice, speed=config.speed)
    else:
        from streamer.tts.hibari import HibariVoice

        voice = HibariVoice(config.voice or "heart", config.speed)
    for _ in voice.speak("Ready."):  # the first sentence costs more than the others
        pass
    return voice
