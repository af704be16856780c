"""``asr.transducer``: recognition while the word is still being spoken."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, Field

from streamer.asr.interop import load_engine
from streamer.asr.streaming import (
    Decoder,
    EndpointRules,
    RecogniserStream,
    StreamingEngine,
    StreamingRecogniser,
)
from streamer.asr.streaming.search import SearchName, SearchSpec, build_search
from streamer.errors import InputError, ModelError
from streamer.graph import In, Node, Out
from streamer.graph.node import NodeConfig
from streamer.graph.resources import Resources
from streamer.graph.units import Seconds
from streamer.hub import resolve
from streamer.packets import AudioFrame, SpeechSpan, Transcript

__all__ = ["AsrTransducer", "Endpoint", "open_stream", "recogniser_for"]


class Endpoint(NodeConfig):
    """Seconds of silence, and of speech, that end a segment; null switches a rule off."""

    after_words: Seconds | None = 0.8
    without_words: Seconds | None = 2.4
    longest: Seconds | None = 20.0


class AsrTransducer(Node):
    """A streaming transducer, shared by all sessions that ask for the same model.

    ``speech`` is optional: with a VAD there, a segment ends as soon as the voice has, without
    waiting for the silence of the endpoint rules. ``transcript`` carries partials and finals,
    ``final`` the finals alone.
    """

    kind = "asr.transducer"
    audio: In[AudioFrame]
    speech: In[SpeechSpan] = In(optional=True)
    transcript: Out[Transcript]
    final: Out[Transcript]

    class Config(NodeConfig):
        model_config = ConfigDict(use_attribute_docstrings=True)

        model: str = "conformer-t-en"
        """A name that ``streamer models`` lists, or a folder."""
        engine: Literal["onnx", "torch"] = "onnx"
        """torch needs the extra [torch] and a folder with checkpoint.pt."""
        precision: Literal["fp32", "int8"] = "int8"
        """Of the ONNX engine."""
        device: Literal["cpu", "cuda"] = "cpu"
        """Of the torch engine."""
        chunk: Seconds = 0.32
        """Audio that is recognised at a time; longer is more accurate, shorter is sooner."""
        search: SearchName = "greedy"
        beam: int = Field(4, ge=1, le=64)
        """Hypotheses that beam and ctc_beam keep."""
        lm: str = ""
        """A file of tools/train_lm.py, or `own` for the model's; with beam and ctc_beam."""
        lm_weight: float = Field(0.8, ge=0)
        lm_bonus: float = 3.5
        """Added per token, since a language model makes every token cost something."""
        boost: list[str] = []
        """Phrases to listen for."""
        boost_score: float = Field(0.5, gt=0)
        """Per letter of a phrase; 0.3 is gentle, 1 is strong."""
        endpoint: Endpoint = Endpoint()
        slots: int = Field(64, ge=1)
        """Sessions that may use the model at once."""
        threads: int = Field(1, ge=1)
        """Of the ONNX engine."""
        workers: int = Field(1, ge=1, le=16)
        """Batches of the ONNX engine that run side by side, each on `threads` threads."""
        max_batch: int = Field(32, ge=1)
        max_wait: Seconds = 0.005
        """How long an idle engine waits for other sessions to share a batch."""

    _stream: RecogniserStream[Transcript] | None = None

    @classmethod
    def needs(cls, config: Any) -> dict[str, dict[str, Any]]:
        return {"audio": {"rate": 16000, "channels": 1}}

    async def start(self) -> None:
        self._stream = await open_stream(self.config, self.ctx.resources)

    async def process_audio(self, frame: AudioFrame) -> None:
        assert self._stream is not None
        try:
            await self._send(await self._stream.accept(frame.samples[:, 0], frame.start))
        except InputError as error:
            self.ctx.report(error)  # its place in the stream is heard as a gap

    async def process_speech(self, span: SpeechSpan) -> None:
        if span.state == "end":
            await self._flush()

    async def finish(self) -> None:
        await self._flush()

    async def on_mark(self, mark: str) -> None:
        await self._flush()

    async def on_flush(self) -> None:
        if self._stream is not None:
            self._stream.forget()

    async def close(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    async def _flush(self) -> None:
        assert self._stream is not None
        await self._send(await self._stream.flush())

    async def _send(self, said: list[Transcript]) -> None:
        for transcript in said:
            await self.transcript.send(transcript)
            if transcript.final:
                await self.final.send(transcript)


async def open_stream(
    c: AsrTransducer.Config, resources: Resources
) -> RecogniserStream[Transcript]:
    """A stream of the recogniser and search that all nodes with the same settings share."""
    recogniser = await recogniser_for(c, resources)
    decoder = await resources.get(
        ("asr.transducer", c.model_dump_json()), lambda: _decoder(recogniser, c)
    )
    return recogniser.open(decoder)


async def recogniser_for(c: AsrTransducer.Config, resources: Resources) -> StreamingRecogniser:
    """The recogniser that all nodes with the same model settings share."""
    shared = ["model", "engine", "precision", "device", "slots"]
    shared += ["threads", "workers", "max_batch", "max_wait"]
    key = ("recogniser", *(getattr(c, name) for name in shared))
    return await resources.get(key, lambda: _recogniser(c))


def _lm(c: AsrTransducer.Config) -> Path | None:
    if c.lm != "own":
        return Path(c.lm) if c.lm else None
    folder = Path(c.model)
    path = folder / "lm.npz" if folder.is_dir() else resolve(c.model).files.get("lm")
    if path is None:
        raise ModelError(
            f"the model {c.model!r} brings no language model",
            code="asr.lm.missing",
            hint="Name a file as `lm`, or leave the setting out.",
        )
    return path


def _recogniser(c: AsrTransducer.Config) -> StreamingRecogniser:
    model: Path | Mapping[str, Path] = Path(c.model)
    if not Path(c.model).is_dir():
        model = resolve(c.model, task="asr.streaming", rate=16000).files
    workers = c.workers if c.engine == "onnx" else 1
    engine = _engine(model, c)
    return StreamingRecogniser(engine, max_batch=c.max_batch, max_wait=c.max_wait, workers=workers)


def _engine(model: Path | Mapping[str, Path], c: AsrTransducer.Config) -> StreamingEngine:
    if c.engine == "onnx":
        return load_engine(model, precision=c.precision, threads=c.threads, slots=c.slots)
    try:
        from streamer.asr.streaming.torch_engine import load_torch_engine
    except ImportError:
        raise ModelError(
            "the torch engine needs torch, which is not installed",
            code="asr.torch.missing",
            hint="pip install 'streamer[torch]', or use the ONNX engine.",
        ) from None
    folder = model if isinstance(model, Path) else model["tokens"].parent
    checkpoint, tokens = folder / "checkpoint.pt", folder / "tokens.txt"
    return load_torch_engine(checkpoint, tokens, slots=c.slots, device=c.device)


def _decoder(recogniser: StreamingRecogniser, c: AsrTransducer.Config) -> Decoder:
    engine = recogniser.engine
    boost = dict.fromkeys(c.boost, c.boost_score)
    spec = SearchSpec(c.search, c.beam, _lm(c), c.lm_weight, c.lm_bonus, boost)
    rules = EndpointRules(**c.endpoint.model_dump())
    return Decoder(engine, build_search(engine, spec), engine.info.chunk_of(c.chunk), rules)
