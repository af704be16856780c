"""``audio.echo_cancel``: the microphone without our own loudspeaker."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from streamer.audio.echo import RATE, EchoCanceller
from streamer.graph import In, Node, NodeConfig, Out
from streamer.packets import AudioFrame

__all__ = ["AudioEchoCancel"]


class AudioEchoCancel(Node):
    """Takes what the loudspeaker plays out of what the microphone hears (WebRTC's AEC3).

    `reference` is what the playing sink sends as it plays, by an edge with `feedback: true`.
    Needs `pip install 'streamer[aec]'`.
    """

    kind = "audio.echo_cancel"
    audio: In[AudioFrame]
    reference: In[AudioFrame]
    clean: Out[AudioFrame]

    class Config(NodeConfig):
        noise_suppression: bool = Field(False, description="also take steady noise out")

    @classmethod
    def needs(cls, config: Any) -> dict[str, dict[str, Any]]:
        return {"audio": {"rate": RATE, "channels": 1}}

    @classmethod
    def gives(cls, config: Any) -> dict[str, dict[str, Any]]:
        return {"clean": {"rate": RATE, "channels": 1}}

    async def start(self) -> None:
        self._echo = await self.ctx.call(
            lambda: EchoCanceller(noise_suppression=self.config.noise_suppression)
        )

    async def process_reference(self, frame: AudioFrame) -> None:
        self._echo.played(frame.samples[:, 0], frame.rate, self.ctx.now_ns() / 1e9)

    async def process_audio(self, frame: AudioFrame) -> None:
        captured = self.ctx.stamp.captured_ns or self.ctx.now_ns()
        clean = self._echo.clean(frame.samples[:, 0], captured / 1e9)
        start = frame.end - self._echo.held - len(clean)
        if len(clean):
            await self.clean.send(AudioFrame(clean[:, None], RATE, start, frame.overflow))
