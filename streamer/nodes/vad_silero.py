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
from streamer.vad.shared import SharedStream, SharedVad
from streamer.vad.silero import RATE, SileroModel

__all__ = ["VadSilero"]


class VadSilero(Node):
    """Silero VAD: where speech begins and ends."""

    kind = "vad.silero"
    audio: In[AudioFrame]
    speech: Out[SpeechSpan]

    class Config(NodeConfig):
        threshold: float = Field(0.5, gt=0, lt=1, description="probability that begins speech")
        negative_threshold: float = Field(
            0.35, gt=0, lt=1, description="probability below which speech may end"
        )
        min_speech: Seconds = Field(0.096, description="shorter sounds are no speech")
        min_silence: Seconds = Field(
            0.7, description="silence that ends speech; less is faster and costs accuracy"
        )
        pre_roll: Seconds = Field(0.25, description="audio kept before speech begins")
        hang_over: Seconds = Field(0.2, description="audio kept after the voice stops")
        pause: Seconds = Field(
            0.0, description="silence told before speech ends, to decode ahead; 0: never"
        )

    _stream: SharedStream | None = None

    @classmethod
    def needs(cls, config: Any) -> dict[str, dict[str, Any]]:
        return {"audio": {"rate": RATE, "channels": 1}}

    async def start(self) -> None:
        vad = await self.ctx.resources.get("vad.silero", _load)
        self._stream = vad.open(SpeechSegmenter(**self.config.model_dump()))

    async def process(self, frame: AudioFrame) -> None:
        assert self._stream is not None
        await self._send(await self._stream.push(frame))

    async def finish(self) -> None:
        assert self._stream is not None
        await self._send(await self._stream.finish())

    async def on_mark(self, mark: str) -> None:
        await self.finish()

    async def close(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    async def _send(self, events: list[SpeechSpan]) -> None:
        for event in events:
            await self.speech.send(event)


def _load() -> SharedVad:
    return SharedVad(SileroModel(hub.resolve("silero-vad", task="vad", rate=RATE).files["model"]))
