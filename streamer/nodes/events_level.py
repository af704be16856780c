"""``events.level``: what is wrong with the level."""

from __future__ import annotations

from pydantic import Field

from streamer.events.level import LevelRules, LevelStream
from streamer.graph import NodeConfig
from streamer.graph.units import Seconds
from streamer.nodes.events import EventsNode
from streamer.packets import AudioFrame

__all__ = ["EventsLevel"]


class EventsLevel(EventsNode):
    """Clipping, too loud, silence, a dead source: each with start and end. Any format."""

    kind = "events.level"

    class Config(NodeConfig):
        loud: float = Field(-9.0, le=0)
        """LUFS over 400 ms above which it is too loud."""
        silence: float = Field(-60.0, le=0)
        """LUFS below which it is silence."""
        silence_after: Seconds = 5.0
        """Shorter silence is not told."""
        margin: float = Field(3.0, ge=0)
        """dB by which the level must come back."""
        dead_after: Seconds = 1.0
        """How long all samples are the same until the source is dead."""
        hold: Seconds = 0.5
        """Clipping and loudness that pause for less are one event."""

    async def start(self) -> None:
        self._stream = LevelStream(LevelRules(**self.config.model_dump()))

    async def process(self, frame: AudioFrame) -> None:
        await self.send(self._stream.push(frame))

    async def finish(self) -> None:
        await self.send(self._stream.finish())
