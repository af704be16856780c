"""Whole-manifest decoding by the streaming engine; what tools/evaluate.py calls for folders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from streamer.asr.interop import load_engine
from streamer.asr.interop.load import Precision
from streamer.asr.streaming import Decoder, EndpointRules
from streamer.asr.streaming.search import SearchSpec, build_search
from tools.asr_train.store import Utterance, read_audio

__all__ = ["SEARCHES", "OnnxRunner"]

LM = "lm.npz"
"""The language model that lies beside the networks."""
BEAM = 32
SEARCHES = {
    "greedy": SearchSpec("greedy"),
    "beam": SearchSpec("beam", beam=BEAM),
    "ctc": SearchSpec("ctc"),
    "ctc_beam": SearchSpec("ctc_beam", beam=BEAM),
}


class OnnxRunner:
    """Chunk by chunk with states, as in service, many utterances in a batch.

    Searches: ``greedy``, ``beam``, ``ctc``, ``ctc_beam``; with ``+lm`` behind its name a search
    uses ``lm.npz`` of the folder with the weights that ``asr.transducer`` has by default.
    """

    def __init__(
        self,
        folder: Path,
        precision: Precision = "fp32",
        *,
        threads: int = 2,
        batch: int = 16,
    ) -> None:
        self._folder, self._batch = folder, batch
        self._engine = load_engine(folder, precision=precision, threads=threads, slots=batch)

    def __call__(self, utterances: Sequence[Utterance], chunk_ms: int, search: str) -> list[str]:
        """Texts in the order of the utterances."""
        name, _, extra = search.partition("+")
        if name not in SEARCHES or extra not in ("", "lm"):
            raise ValueError(f"{search!r} is none of {', '.join(SEARCHES)}, with or without +lm")
        spec = SEARCHES[name]
        if extra:
            spec = replace(spec, lm=self._folder / LM)
        decoder = Decoder(
            self._engine,
            build_search(self._engine, spec),
            self._engine.info.chunk_of(chunk_ms / 1000),
            EndpointRules(None, None, None),
        )
        said = decoder.transcribe((read_audio(u.path) for u in utterances), self._batch)
        return [" ".join(t.text for t in one) for one in said]
