"""``turn.wake``: only what is said to the assistant goes on."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from streamer.graph import In, Node, NodeConfig, Out
from streamer.graph.units import Seconds
from streamer.packets import AudioEvent, Played, ReplyText, Stamp, UserTurn
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
        self._waiting: list[tuple[UserTurn, Stamp, float]] = []
        """Turns without wake word so far, and until when (s of the loop) one may come."""
        self._saying: dict[int, str] = {}
        """Texts of answers that are being written or played, by turn."""
        self._clock: tuple[float, float] | None = None
        """Media time and clock time of the same moment."""

    async def process_turn(self, turn: UserTurn) -> None:
        now, stamp = asyncio.get_running_loop().time(), self.ctx.stamp
        self._clock = (turn.end, stamp.captured_ns / 1e9 or now)
        self._waiting.append((turn, stamp, now + self.config.patience))
        await self._decide()

    async def process_wake(self, event: AudioEvent) -> None:
        phrase = " ".join(words_of(event.label))
        if any(phrase in " ".join(words_of(text)) for text in self._saying.values()):
            self.ctx.log.info("the assistant itself said %r", event.label)
            return
        self._wakes.wake(event)
        await self._decide()

    async def _decide(self) -> None:
        """Send on what is meant; what has waited too long is not."""
        now = asyncio.get_running_loop().time()
        waiting, self._waiting = self._waiting, []
        for turn, stamp, until in waiting:
            text = self._wakes.meant(turn) if now <= until else None
            if text:
                await self.meant.send(replace(turn, text=text), stamp)
            elif text is None and now <= until:
                self._waiting.append((turn, stamp, until))
            else:
                why = "not meant for us" if text is None else "the wake word alone"
                self.ctx.log.info("turn %d passed over, %s: %r", turn.index, why, turn.text)

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
