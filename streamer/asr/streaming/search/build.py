"""A search by name, with what is to be added to its scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from streamer.asr.streaming.engine import StreamingEngine
from streamer.asr.streaming.search.base import Fusion, Scorer, Search
from streamer.asr.streaming.search.beam import BeamSearch
from streamer.asr.streaming.search.boost import PhraseBooster
from streamer.asr.streaming.search.ctc import CtcBeamSearch, CtcGreedySearch
from streamer.asr.streaming.search.greedy import GreedySearch
from streamer.asr.streaming.search.ngram import NgramScorer

__all__ = ["SearchName", "SearchSpec", "build_search"]

SearchName = Literal["greedy", "beam", "ctc", "ctc_beam"]


@dataclass(frozen=True)
class SearchSpec:
    """``boost`` maps phrases to their score per letter; ``lm`` is a file of tools/train_lm.py."""

    name: SearchName = "greedy"
    beam: int = 4
    lm: Path | None = None
    lm_weight: float = 0.8
    lm_bonus: float = 3.5
    boost: Mapping[str, float] = field(default_factory=dict)


def build_search(engine: StreamingEngine, spec: SearchSpec) -> Search:
    """Blocking: it may read a language model. The best-path CTC search takes no outside scores."""
    info = engine.info
    if spec.name == "ctc":
        return CtcGreedySearch(info)
    scorers: list[Scorer] = []
    if spec.lm is not None:
        scorers.append(NgramScorer(spec.lm, info.tokens, info.blank, spec.lm_weight, spec.lm_bonus))
    if spec.boost:
        scorers.append(PhraseBooster(info, spec.boost))
    fusion = Fusion(scorers)
    if spec.name == "greedy":
        return GreedySearch(engine, fusion)
    if spec.name == "ctc_beam":
        return CtcBeamSearch(info, fusion, spec.beam)
    return BeamSearch(engine, fusion, spec.beam)
