"""What all sinks that play speech have in common."""

from __future__ import annotations

import asyncio
from typing import Literal

from streamer.audio.playback import Playback
from streamer.graph import In, Node, Out
from streamer.packets import AudioFrame, Played, Samples, SpokenAudio

__all__ = ["PlayingSink"]

BLOCK = 0.02
"""Seconds between looks at whether an interruption or a pause has come."""


class PlayingSink(Node):
    """Plays block by block, stops at an interruption, and tells what has been heard.

    `played` says how far the answer has been heard, word by word; `reference` is the sound at the
    moment it plays, for an echo canceller. Where it plays is up to the subclass.
    """

    audio: In[SpokenAudio]
    played: Out[Played]
    reference: Out[AudioFrame]

    _now: Playback | None = None
    _position = 0

    async def open(self, rate: int) -> None:
        """Called before every answer's first sample."""

    async def put(self, samples: Samples, rate: int) -> None:
        """Play this next; returns when it is being heard."""
        raise NotImplementedError

    async def hold(self) -> None:
        """The sound stands still for a moment."""

    async def settle(self) -> None:
        """The answer is complete: wait until all of it has been heard."""

    async def silence(self) -> None:
        """Stop the sound."""

    async def process(self, audio: SpokenAudio) -> None:
        if self._now is None or self._now.turn != audio.turn:
            self._now = Playback(audio.turn, audio.rate)
            await self.open(audio.rate)
        now = self._now
        now.add(audio)
        step = int(BLOCK * audio.rate)
        for begin in range(0, audio.samples.shape[0], step):
            samples = audio.samples[begin : begin + step]
            if self.ctx.paused:
                await self._stand_still()
            if self._stale:
                return
            await self.put(samples, audio.rate)
            if self._stale:
                return
            await self._heard(now, samples)
        if audio.last:
            if now.played:
                await self.settle()
            if self._stale:
                return
            now.finish()
            await self._tell("done")
            self._now = None

    async def on_interrupt(self, generation: int) -> None:
        await self.silence()
        if self._now is not None:
            await self._tell("interrupted")
            self._now = None

    async def _stand_still(self) -> None:
        await self.hold()
        while self.ctx.paused and not self._stale:  # noqa: ASYNC110
            await asyncio.sleep(BLOCK)

    @property
    def _stale(self) -> bool:
        return self.ctx.stamp.generation < self.ctx.generation

    async def _heard(self, now: Playback, samples: Samples) -> None:
        first = now.played == 0
        more = now.advance(samples)
        frame = AudioFrame(samples[:, None], now.rate, self._position)
        self._position = frame.end
        await self.reference.send(frame)
        if first:
            await self._tell("start")
        elif more:
            await self._tell("playing")

    async def _tell(self, state: Literal["start", "playing", "done", "interrupted"]) -> None:
        assert self._now is not None
        await self.played.send(Played(self._now.turn, self._now.text, self._now.seconds, state))
