"""What several tests of the streaming recogniser share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streamer.asr.interop import load_engine
from streamer.asr.streaming import Decoder, Encoded, Lease, ModelInfo
from streamer.asr.streaming.engine import Floats, PredictorState
from streamer.asr.streaming.search import GreedySearch
from streamer.packets import Transcript

__all__ = ["TINY", "LatticeEngine", "decoder", "feed", "finals"]

TINY = Path(__file__).parents[1] / "data" / "tiny"


def decoder(chunk: int | None = None, slots: int = 8, precision: str = "fp32") -> Decoder:
    """The tiny model with greedy search."""
    engine = load_engine(TINY, slots=slots, precision=precision)  # type: ignore[arg-type]
    return Decoder(engine, GreedySearch(engine), chunk)


def feed(
    dec: Decoder, samples: NDArray[np.float32], sizes: Iterator[int] | None = None
) -> list[Transcript]:
    """One recording through a stream of its own, in pieces of ``sizes`` samples."""
    stream = dec.open()
    said: list[Transcript] = []
    at = 0
    while at < samples.size:
        size = next(sizes) if sizes else samples.size
        stream.windows.accept(samples[at : at + size])
        at += size
        while stream.windows.ready:
            said += dec.step([stream])[0]
    stream.windows.end()
    while stream.windows.ready:
        said += dec.step([stream])[0]
    stream.close()
    return said


def finals(said: Sequence[Transcript]) -> str:
    """The final texts, joined."""
    return " ".join(t.text for t in said if t.final)


class LatticeEngine:
    """An engine whose joiner is a table: logits ``[T, contexts, V]`` by frame and last token.

    Frames carry their number; the predictor's output is its last token.
    """

    def __init__(self, tables: Sequence[NDArray[np.float64]], max_symbols: int = 3) -> None:
        self.tables = tables
        vocab = tables[0].shape[-1]
        self.info = ModelInfo(
            name="lattice",
            tokens=(*(f"\u2581{chr(97 + i)}" for i in range(vocab - 1)), "<blk>"),
            blank=vocab - 1,
            chunks=(4,),
            chunk=4,
            subsampling=8,
            overlap=7,
            max_symbols=max_symbols,
            has_ctc=True,
        )

    def chunk(self, begin: int, end: int) -> Encoded:
        """Frames ``begin..end`` of every table's session; CTC reads the rows after blank."""
        frames = [[[session, t] for t in range(begin, end)] for session in range(len(self.tables))]
        ctc = np.stack([table[begin:end, -1] for table in self.tables])
        ctc = ctc - np.log(np.exp(ctc).sum(-1, keepdims=True))
        return Encoded(np.array(frames, np.float32), ctc.astype(np.float32))

    def start(self, count: int) -> PredictorState:
        return (np.zeros((count, 1), np.int64),)

    def predict(
        self, tokens: NDArray[np.int64], state: PredictorState
    ) -> tuple[Floats, PredictorState]:
        return tokens[:, None].astype(np.float32), (tokens[:, None],)

    def join(self, frames: Floats, predicted: Floats) -> Floats:
        rows = [
            [self.tables[int(s)][int(t), int(last)] for s, t in steps]
            for steps, (last,) in zip(frames, predicted, strict=True)
        ]
        return np.array(rows, np.float32)

    def acquire(self) -> Lease:
        raise NotImplementedError

    def reset(self, lease: Lease) -> Lease:
        raise NotImplementedError

    def release(self, lease: Lease) -> None:
        raise NotImplementedError

    def encode(self, leases: Sequence[Lease], windows: Floats) -> Encoded:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError
