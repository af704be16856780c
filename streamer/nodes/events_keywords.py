"""``events.keywords``: phrases typed in YAML, spotted in what is said."""

from __future__ import annotations

from typing import Any

from pydantic import Field, field_validator

from streamer.asr.streaming import RecogniserStream, StreamingRecogniser
from streamer.errors import InputError
from streamer.events.keywords import KeywordGraph
from streamer.events.spotting import KeywordDecoder
from streamer.graph import NodeConfig
from streamer.graph.units import Seconds
from streamer.nodes.asr_transducer import AsrTransducer, recogniser_for
from streamer.nodes.events import EventsNode
from streamer.packets import AudioEvent, AudioFrame

__all__ = ["EventsKeywords"]


class EventsKeywords(EventsNode):
    """Spots phrases with the CTC head of the streaming recogniser, whatever else is said.

    An event tells phrase, place and confidence. It comes once the word after it has begun, or a
    quarter of a second of silence.
    """

    kind = "events.keywords"

    class Config(NodeConfig):
        phrases: list[str] | dict[str, float] = Field(min_length=1)
        """What to listen for, numbers as words; `phrase: threshold` gives each its own."""
        threshold: float = Field(0.15, gt=0, le=1)
        """Confidence from which a phrase counts; lower finds more and errs more often."""
        model: str = "conformer-t-en"
        """A name that ``streamer models`` lists, or a folder; it needs a CTC head."""
        chunk: Seconds = 0.32
        """Audio that is looked at together."""
        slots: int = Field(64, ge=1)
        """Sessions that may use the model at once."""
        threads: int = Field(1, ge=1)
        max_batch: int = Field(32, ge=1)
        max_wait: Seconds = 0.005

        @field_validator("phrases")
        @classmethod
        def _between_0_and_1(cls, phrases: Any) -> Any:
            if isinstance(phrases, dict) and not all(0 < v <= 1 for v in phrases.values()):
                raise ValueError("a threshold lies above 0 and is at most 1")
            return phrases

    _stream: RecogniserStream[AudioEvent] | None = None

    @classmethod
    def needs(cls, config: Any) -> dict[str, dict[str, Any]]:
        return {"audio": {"rate": 16000, "channels": 1}}

    async def start(self) -> None:
        c = self.config
        shared = c.model_dump(exclude={"phrases", "threshold"})
        recogniser = await recogniser_for(AsrTransducer.Config(**shared), self.ctx.resources)
        decoder = await self.ctx.resources.get(
            ("events.keywords", c.model_dump_json()), lambda: _decoder(recogniser, c)
        )
        self._stream = recogniser.open(decoder)

    async def process(self, frame: AudioFrame) -> None:
        assert self._stream is not None
        try:
            await self.send(await self._stream.accept(frame.samples[:, 0], frame.start))
        except InputError as error:
            self.ctx.report(error)  # its place in the stream is heard as a gap

    async def finish(self) -> None:
        assert self._stream is not None
        await self.send(await self._stream.flush())

    async def on_mark(self, mark: str) -> None:
        await self.finish()

    async def close(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None


def _decoder(recogniser: StreamingRecogniser, c: Any) -> KeywordDecoder:
    phrases = c.phrases if isinstance(c.phrases, dict) else dict.fromkeys(c.phrases, c.threshold)
    engine = recogniser.engine
    graph = KeywordGraph(engine.info, phrases)
    return KeywordDecoder(engine, graph, engine.info.chunk_of(c.chunk))
