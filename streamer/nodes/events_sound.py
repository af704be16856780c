"""``events.sound``: what is heard besides speech."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field

from streamer import hub
from streamer.batching import Batcher, EngineStats
from streamer.events.sound import HOP, Piece, SoundModel, SoundRules, SoundStream
from streamer.graph import NodeConfig
from streamer.graph.units import Seconds
from streamer.nodes.events import EventsNode
from streamer.packets import AudioFrame

__all__ = ["EventsSound"]


class EventsSound(EventsNode):
    """Sounds of the classes its model knows, with start and end.

    Two models ship: `sound-events` knows the ten of ESC-10, `speech-music` tells speech and music.
    """

    kind = "events.sound"

    class Config(NodeConfig):
        model: str = "sound-events"
        """A name that ``streamer models`` lists, or an .onnx file of tools/train_events.py."""
        labels: dict[str, float] = {}
        """Only these classes, each with its own `on`; all, if empty."""
        on: float = Field(0.5, gt=0, lt=1)
        """Smoothed probability that begins an event."""
        off: float = Field(0.25, gt=0, lt=1)
        """And the one below which it ends."""
        min_on: Seconds = 0.12
        """Shorter events are not told."""
        min_off: Seconds = 0.6
        """Shorter pauses are part of the event."""
        smooth: Seconds = 0.3
        """Time constant of the smoothing."""

    _stream: SoundStream | None = None
    _shared: SharedSounds | None = None

    @classmethod
    def needs(cls, config: Any) -> dict[str, dict[str, Any]]:
        return {"audio": {"rate": 16000, "channels": 1}}

    async def start(self) -> None:
        c = self.config
        shared = await self.ctx.resources.get(("events.sound", c.model), lambda: _load(c.model))
        self._stream = SoundStream(shared.model, SoundRules(**c.model_dump(exclude={"model"})))
        self._shared = shared
        shared.batcher.members += 1

    async def process(self, frame: AudioFrame) -> None:
        assert self._stream is not None and self._shared is not None
        events, pieces = self._stream.take(frame)
        await self.send(events)
        for piece in pieces:
            found = await self._shared.batcher.submit(piece, HOP * 0.01)
            await self.send(self._stream.heard(found))

    async def finish(self) -> None:
        assert self._stream is not None
        await self.send(self._stream.finish())

    async def close(self) -> None:
        if self._shared is not None:
            self._shared.batcher.members -= 1
            self._shared = None


class SharedSounds:
    """The model on a thread of its own; the pieces of all streams go through it in batches."""

    def __init__(self, model: SoundModel) -> None:
        self.model = model
        self.batcher: Batcher[Piece, Any] = Batcher(
            model.run, max_batch=64, max_wait=0.005, name="sound-events"
        )

    @property
    def stats(self) -> list[EngineStats]:
        """How full and how fast the batches were."""
        return self.batcher.stats

    async def aclose(self) -> None:
        """Wait for the batch under way and end the thread."""
        await self.batcher.aclose()


def _load(model: str) -> SharedSounds:
    path = Path(model)
    if path.suffix != ".onnx":
        path = hub.resolve(model, task="events.sound", rate=16000).files["model"]
    return SharedSounds(SoundModel(path))
