"""``vad.silero``: where speech begins and ends."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from streamer import hub
from streamer.graph import In, Node, Out
from streamer.graph.node import NodeConfig
from streamer.graph.units import Seconds
from streamer.packets import AudioFrame, SpeechSpan
from streamer.vad.segmenter import SpeechSegmenter
from streamer.vad.silero import RATE, SileroModel
from streamer.vad.stream import SpeechStream

__all__ = ["VadSilero"]


class VadSilero(Node):
    """Silero VAD; the settings are those of :class:`SpeechSegmenter`."""

    kind = "vad.silero"
    audio: In[AudioFrame]
    speech: Out[SpeechSpan]

    class Config(NodeConfig):
        threshold: float = Field(0.5, gt=0, lt=1)
        negative_threshold: float = Field(0.35, gt=0, lt=1)
        min_speech: Seconds = 0.096
        min_silence: Seconds = 0.5
        pre_roll: Seconds = 0.25
        hang_over: Seconds = 0.2

    _stream: SpeechStream

    @classmethod
    def needs(cls, config: Any) -> dict[str, dict[str, Any]]:
        return {"audio": {"rate": RATE, "channels": 1}}

    async def start(self) -> None:
        model = await self.ctx.resources.get("vad.silero", _load)
        self._stream = SpeechStream(model, SpeechSegmenter(**self.config.model_dump()))

    async def process(self, frame: AudioFrame) -> None:
        if self._stream.ready(frame):
            await self._send(await self.ctx.call(self._stream.push, frame))
        else:
            self._stream.push(frame)

    async def finish(self) -> None:
        await self._send(await self.ctx.call(self._stream.finish))

    async def on_mark(self, mark: str) -> None:
        await self.finish()

    async def _send(self, events: list[SpeechSpan]) -> None:
        for event in events:
            await self.speech.send(event)


def _load() -> SileroModel:
    return SileroModel(hub.resolve("silero-vad", task="vad", rate=RATE).files["model"])
