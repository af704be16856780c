"""Searches: greedy and beam over the transducer, best path and prefix beam over CTC."""

from streamer.asr.streaming.search.base import Fusion, Hypothesis, Scorer, Search
from streamer.asr.streaming.search.beam import BeamSearch
from streamer.asr.streaming.search.boost import PhraseBooster
from streamer.asr.streaming.search.build import SearchName, SearchSpec, build_search
from streamer.asr.streaming.search.ctc import CtcBeamSearch, CtcGreedySearch
from streamer.asr.streaming.search.greedy import GreedySearch
from streamer.asr.streaming.search.ngram import NgramScorer

__all__ = [
    "BeamSearch",
    "CtcBeamSearch",
    "CtcGreedySearch",
    "Fusion",
    "GreedySearch",
    "Hypothesis",
    "NgramScorer",
    "PhraseBooster",
    "Scorer",
    "Search",
    "SearchName",
    "SearchSpec",
    "build_search",
]
