"""Phrases in made-up posteriors: against every spelling and every alignment there is."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from streamer.asr.streaming.engine import Floats, ModelInfo
from streamer.errors import InputError
from streamer.events.keywords import Found, KeywordGraph, KeywordSpotter

TOKENS = ("\u2581", "a", "b", "\u2581a", "ab", "ba", "\u2581ab", "c", "<blk>")
BLANK = 8
INFO = ModelInfo("t", TOKENS, BLANK, (4,), 4, 8, 7, has_ctc=True)


def frames(*tokens: str, sure: float = 0.9) -> Floats:
    """One frame a token; "-" is blank."""
    out = np.full((len(tokens), len(TOKENS)), (1 - sure) / (len(TOKENS) - 1))
    for row, token in zip(out, tokens, strict=True):
        row[BLANK if token == "-" else TOKENS.index(token)] = sure
    return np.log(out).astype(np.float32)


def hear(
    logps: Floats, threshold: float = 0.5, phrase: str = "abba", chunk: int = 1
) -> list[Found]:
    spotter = KeywordSpotter(KeywordGraph(INFO, {phrase: threshold}))
    found: list[Found] = []
    for at in range(0, len(logps), chunk):
        found += spotter.push(logps[at : at + chunk])
    return found + spotter.finish()


SPOKEN = [
    ("\u2581a", "b", "b", "a"),  # b twice without a blank is one b: not the phrase
    ("\u2581a", "b", "-", "b", "a"),
    ("\u2581ab", "-", "ba", "ba"),
    ("\u2581", "ab", "-", "-", "ba"),
    ("\u2581a", "b", "ba"),
]


@pytest.mark.parametrize("path", SPOKEN, ids=" ".join)
def test_any_spelling_is_found(path: tuple[str, ...]) -> None:
    spelled = "".join(_collapse(path))
    found = hear(frames("-", "c", "-", *path, "-", "-", "-"))
    assert bool(found) == (spelled == "\u2581abba")
    for one in found:
        assert one.phrase == "abba" and one.confidence > 0.99
        assert one.start == 3 and one.end <= 3 + len(path)


def _collapse(path: tuple[str, ...]) -> list[str]:
    return [token for token, _ in itertools.groupby(path) if token != "-"]


def best_alignment(logps: Floats, letters: str) -> float:
    """The best path over all frames that spells ``letters``, relative to the best tokens."""
    relative = logps - logps.max(axis=1, keepdims=True)
    best = -np.inf
    for path in itertools.product(range(len(TOKENS)), repeat=len(logps)):
        names = _collapse(tuple("-" if t == BLANK else TOKENS[t] for t in path))
        if "".join(names) == letters and path[0] != BLANK and path[-1] != BLANK:
            best = max(best, float(sum(row[t] for row, t in zip(relative, path, strict=True))))
    return best


@pytest.mark.parametrize("seed", range(6))
def test_the_score_is_that_of_the_best_alignment(seed: int) -> None:
    """Brute force over all 9^4 paths; no token of this phrase may follow itself."""
    rng = np.random.default_rng(seed)
    logps = np.log(rng.dirichlet(np.ones(len(TOKENS)), 4)).astype(np.float32)
    graph = KeywordGraph(INFO, {"abc": 1e-9})
    spotter = KeywordSpotter(graph)
    scores = []
    for row in logps:
        spotter._advance(row - row.max())
        spotter.frame += 1
        scores.append(float(spotter._arc[graph.into[graph.last[0]]].max()))
    lower = [best_alignment(logps[i:], "\u2581abc") for i in range(4)]
    assert scores[-1] == pytest.approx(max(lower), abs=1e-4)


def test_chunks_change_nothing() -> None:
    spoken = (
        "c",
        "\u2581ab",
        "-",
        "ba",
        "-",
        "-",
        "-",
        "c",
        "\u2581a",
        "b",
        "-",
        "b",
        "a",
        "-",
        "-",
        "-",
    )
    logps = frames(*spoken, sure=0.7)
    whole = hear(logps, chunk=100)
    assert len(whole) == 2
    assert all(hear(logps, chunk=n) == whole for n in (1, 2, 3, 5))


def test_a_word_that_goes_on_is_another_word() -> None:
    assert hear(frames("\u2581ab", "-", "ba", "c", "-", "-", "-")) == []
    assert hear(frames("\u2581ab", "-", "ba", "-", "c", "-", "-")) == []
    assert len(hear(frames("\u2581ab", "-", "ba", "\u2581a", "-", "-"))) == 1


def test_the_threshold_is_a_threshold() -> None:
    logps = frames("\u2581ab", "-", "c", "-", "-", "-")
    logps[2, TOKENS.index("ba")] = logps[2, TOKENS.index("c")] - 1.0
    (found,) = hear(logps, 0.1)
    assert found.confidence == pytest.approx(np.exp(-1.0 / (4 / 3)), rel=1e-3)
    assert hear(logps, found.confidence + 0.01) == []


def test_nothing_is_found_in_silence() -> None:
    assert hear(frames(*["-"] * 100)) == []


def test_a_phrase_that_cannot_be_written_is_refused() -> None:
    with pytest.raises(InputError) as caught:
        KeywordGraph(INFO, {"abba": 0.5, "zebra": 0.5})
    assert caught.value.code == "events.keyword.phrase" and "zebra" in str(caught.value)
    with pytest.raises(InputError):
        KeywordGraph(INFO, {" ": 0.5})
