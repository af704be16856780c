"""``events.wake_word``: trained wake words (openWakeWord)."""

from __future__ import annotations

from typing import Any

from pydantic import Field, field_validator

from streamer.events.wakeword import WakeWords
from streamer.graph import NodeConfig
from streamer.nodes.events import EventsNode
from streamer.packets import AudioFrame

__all__ = ["EventsWakeWord"]


class EventsWakeWord(EventsNode):
    """Wake words with models trained for them (extra [wakeword]).

    Those that the package brings may not be used commercially (CC BY-NC-SA 4.0); `events.keywords`
    needs no model of its own.
    """

    kind = "events.wake_word"

    class Config(NodeConfig):
        models: list[str] | dict[str, float] = Field(["okay_nabu"], min_length=1)
        """alexa, hey_jarvis, hey_mycroft, hey_rhasspy, okay_nabu or .tflite files."""
        threshold: float = Field(0.5, gt=0, lt=1)

        @field_validator("models")
        @classmethod
        def _between_0_and_1(cls, models: Any) -> Any:
            if isinstance(models, dict) and not all(0 < v < 1 for v in models.values()):
                raise ValueError("a threshold lies between 0 and 1")
            return models

    _words: WakeWords | None = None

    @classmethod
    def needs(cls, config: Any) -> dict[str, dict[str, Any]]:
        return {"audio": {"rate": 16000, "channels": 1}}

    async def start(self) -> None:
        c = self.config
        models = c.models if isinstance(c.models, dict) else dict.fromkeys(c.models, c.threshold)
        self._words = await self.ctx.call(WakeWords, models)

    async def process(self, frame: AudioFrame) -> None:
        assert self._words is not None
        await self.send(await self.ctx.call(self._words.push, frame))

    async def close(self) -> None:
        if self._words is not None:
            words, self._words = self._words, None
            await self.ctx.call(words.close)
