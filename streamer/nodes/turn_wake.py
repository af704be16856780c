"""``turn.wake``: only what is said to the assistant goes on."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace

from streamer.graph import In, Node, NodeConfig, Out
from streamer.graph.units import Seconds
from streamer.packets import AudioEvent, Played, ReplyText, UserTurn
from streamer.turns.wake import Wakes
from streamer.turns.words import words_of

__all__ = ["TurnWake"]


class TurnWake(Node):
    """Lets turns pass that hold or follow a wake word, and takes the wake word out of them.

    The wake word alone opens the window and gets no answer. With `played` and `reply` connected, a
    wake word that the assistant is saying itself does not count, and for `follow_up` after an
    answer no wake word is needed.
    """

    kind = "turn.wake"
    turn: In[UserTurn]
    wake: In[AudioEvent]
    played: In[Played] = In(optional=True)
    reply: In[ReplyText] = In(optional=True)
    meant: Out[UserTurn]

    class Config(NodeConfig):
        window: Seconds = 8.0
        """How long after the wake word a turn may begin."""
        follow_up: Seconds = 0.0
        """How long after an answer a turn may begin without wake word."""
        patience: Seconds = 0.8
        """How long a turn waits for the news that a wake word was in it."""

    async def start(self) -> None:
        self._wakes = Wakes(self.config.window)
        self._news = asyncio.Event()
        self._saying: dict[int, str] = {}
        """Texts of answers that are being written or played, by turn."""
        self._clock: tuple[float, float] | None = None
        """Media time and clock time of the same moment."""

    async def process_turn(self, turn: UserTurn) -> None:
        loop = asyncio.get_running_loop()
        self._clock = (turn.end, self.ctx.stamp.captured_ns / 1e9 or loop.time())
        stamp = self.ctx.stamp
        deadline = loop.time() + self.config.patience
        while (text := self._wakes.meant(turn)) is None and loop.time() < deadline:
            self._news.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(deadline):
                    await self._news.wait()
        if text:
            await self.meant.send(replace(turn, text=text), stamp)
        else:
            why = "the wake word alone" if text == "" else "not meant for us"
            self.ctx.log.info("turn %d passed over, %s: %r", turn.index, why, turn.text)

    async def process_wake(self, event: AudioEvent) -> None:
        phrase = " ".join(words_of(event.label))
        if any(phrase in " ".join(words_of(text)) for text in self._saying.values()):
            self.ctx.log.info("the assistant itself said %r", event.label)
            return
        self._wakes.wake(event)
        self._news.set()

    async def process_reply(self, reply: ReplyText) -> None:
        self._saying[reply.turn] = self._saying.get(reply.turn, "") + reply.text
        while len(self._saying) > 4:
            del self._saying[min(self._saying)]

    async def process_played(self, played: Played) -> None:
        if played.state not in ("done", "interrupted"):
            return
        self._saying.pop(played.turn, None)
        if self._clock is not None and self.config.follow_up:
            media, clock = self._clock
            now = media + asyncio.get_running_loop().time() - clock
            self._wakes.open_until = now + self.config.follow_up
