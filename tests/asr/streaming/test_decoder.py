"""The whole way from samples to text, with a small model that knows the language of tones."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.asr.features import FeatureStream, log_mel
from streamer.asr.interop import load_engine
from streamer.asr.streaming import Decoder, EndpointRules, StreamingEngine
from streamer.asr.streaming.search import (
    BeamSearch,
    CtcBeamSearch,
    CtcGreedySearch,
    GreedySearch,
    Search,
)
from streamer.asr.streaming.session import Windows
from streamer.errors import InputError, ModelError
from streamer.packets import Transcript
from tests.asr.streaming.helpers import TINY, decoder, feed, finals
from tests.asr.tones import noise, random_tokens, say, spell


def searches(engine: StreamingEngine) -> dict[str, Search]:
    return {
        "greedy": GreedySearch(engine),
        "beam": BeamSearch(engine),
        "ctc": CtcGreedySearch(engine.info),
        "ctc beam": CtcBeamSearch(engine.info),
    }


def sentence(seed: int, longest: int = 14) -> tuple[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    tokens = random_tokens(rng, int(rng.integers(1, longest)))
    return spell(tokens), np.concatenate([noise(rng.uniform(0, 0.5), seed), say(tokens, rng)])


@pytest.mark.parametrize("chunk", [2, 4, 8, 16])
@pytest.mark.parametrize("name", ["greedy", "beam", "ctc", "ctc beam"])
def test_every_search_hears_every_sentence_at_every_chunk_size(name: str, chunk: int) -> None:
    engine = load_engine(TINY)
    spoken = [sentence(seed) for seed in range(20)]
    dec = Decoder(engine, searches(engine)[name], chunk)
    heard = list(dec.transcribe((audio for _, audio in spoken), batch=6))
    assert [finals(said) for said in heard] == [text for text, _ in spoken]


def test_int8_hears_the_same() -> None:
    dec = decoder(precision="int8", slots=16)
    spoken = [sentence(seed) for seed in range(20)]
    heard = [finals(said) for said in dec.transcribe(audio for _, audio in spoken)]
    assert heard == [text for text, _ in spoken]


@given(
    seeds=st.lists(st.integers(0, 1000), min_size=2, max_size=5),
    moves=st.randoms(use_true_random=False),
)
@settings(deadline=None, max_examples=15)
def test_a_batch_whose_members_come_and_go_changes_nobody(seeds: list[int], moves: object) -> None:
    dec = decoder(chunk=2)
    audio = [sentence(seed)[1] for seed in seeds]
    alone = [[(t.text, t.words) for t in feed(dec, samples)] for samples in audio]
    waiting = list(range(len(seeds)))
    running: dict[int, object] = {}
    said: dict[int, list[Transcript]] = {i: [] for i in waiting}
    while waiting or running:
        if waiting and (not running or moves.random() < 0.4):  # type: ignore[attr-defined]
            i = waiting.pop()
            stream = dec.open()
            stream.windows.accept(audio[i])
            stream.windows.end()
            running[i] = stream
        chosen = [i for i in running if moves.random() < 0.7]  # type: ignore[attr-defined]
        if chosen:
            for i, made in zip(chosen, dec.step([running[i] for i in chosen]), strict=True):  # type: ignore[misc]
                said[i] += made
        for i in [i for i, s in running.items() if not s.windows.ready]:  # type: ignore[attr-defined]
            running.pop(i).close()  # type: ignore[attr-defined]
    for i, expected in enumerate(alone):
        got = [(t.text, t.words) for t in said[i]]
        assert [text for text, _ in got] == [text for text, _ in expected]
        for (_, a), (_, b) in zip(got, expected, strict=True):
            assert [(w.text, w.start, w.end) for w in a] == [(w.text, w.start, w.end) for w in b]
            assert [w.confidence for w in a] == pytest.approx([w.confidence for w in b], abs=1e-3)


def cycle(sizes: list[int]) -> Iterator[int]:
    return itertools.cycle(sizes)


@pytest.mark.parametrize("sizes", [[1], [7, 311, 2], [160], [4800, 1], [10**6]])
def test_pieces_of_any_size_give_the_same(sizes: list[int]) -> None:
    dec = decoder()
    text, audio = sentence(3, longest=5)
    assert finals(feed(dec, audio, cycle(sizes))) == text


@pytest.mark.parametrize("chunk", [2, 16])
def test_no_length_of_clip_loses_its_last_token(chunk: int) -> None:
    """0.1 to 4 s in 10 ms steps: the same as with two more seconds of silent features."""
    engine = load_engine(TINY, slots=64)
    dec = Decoder(engine, GreedySearch(engine), chunk, EndpointRules(None, None, None))
    rng = np.random.default_rng(5)
    whole = say(random_tokens(rng, 40), rng)
    clips = [whole[: 160 * k] for k in range(10, 401)]
    short = [finals(said) for said in dec.transcribe(clips, batch=64)]
    engine.info = replace(engine.info, tail_rows=240)
    long = [finals(said) for said in dec.transcribe(clips, batch=64)]
    assert sum(bool(text) for text in short) > 380
    assert short == long


@given(samples=st.integers(0, 20_000), chunk=st.sampled_from([2, 4, 8, 16]))
@settings(deadline=None, max_examples=60)
def test_windows_are_ready_exactly_when_their_features_are(samples: int, chunk: int) -> None:
    info = replace(load_info(), tail_rows=40)
    windows = Windows(info, chunk)
    audio = np.random.default_rng(samples).normal(0, 0.1, samples).astype(np.float32)
    windows.accept(audio)
    rows = log_mel(audio)
    reference = FeatureStream()
    available = len(reference.accept(audio))
    taken = 0
    while windows.ready:
        window = windows.take()
        begin = taken * chunk * 8
        assert np.array_equal(window, rows[begin : begin + info.rows(chunk)])
        taken += 1
    assert taken == max(0, (available - 7) // (chunk * 8))
    windows.end()
    while windows.ready:
        window = windows.take()
        begin = taken * chunk * 8
        real = rows[begin : begin + info.rows(chunk)]
        assert np.array_equal(window[: len(real)], real)
        assert window.shape == (info.rows(chunk), 80)
        taken += 1
    assert taken == (-(-(len(rows) + 40) // (chunk * 8)) if len(rows) else 0)
    assert windows.finished


def load_info():  # type: ignore[no-untyped-def]
    return load_engine(TINY).info


def test_closing_a_stream_in_the_middle_leaves_its_neighbours_alone() -> None:
    dec = decoder(chunk=2, slots=2)
    text, audio = sentence(11)
    keep, drop = dec.open(), dec.open()
    for stream in (keep, drop):
        stream.windows.accept(audio)
        stream.windows.end()
    said = dec.step([keep, drop])[0]
    drop.close()
    late = dec.open()
    late.windows.accept(audio)
    late.windows.end()
    heard: list[Transcript] = []
    while keep.windows.ready or late.windows.ready:
        ready = [s for s in (keep, late) if s.windows.ready]
        for stream, made in zip(ready, dec.step(ready), strict=True):
            if stream is keep:
                said += made
            else:
                heard += made
    assert finals(said) == text
    assert finals(heard) == text
    with pytest.raises(ModelError, match="slots"):
        dec.open()


def test_partials_keep_their_promises_and_segments_their_times() -> None:
    engine = load_engine(TINY)
    first, a = sentence(21)
    second, b = sentence(22)
    audio = np.concatenate([a, noise(1.6, 1), b, noise(1.6, 2)])
    for search in searches(engine).values():
        dec = Decoder(engine, search, 2)
        said = feed(dec, audio)
        ended = [t for t in said if t.final]
        assert [t.text for t in ended] == [first, second]
        assert [t.segment for t in ended] == [0, 1]
        assert all(t.stable_len == len(t.text) for t in ended)
        for segment, parts in itertools.groupby(said, lambda t: t.segment):
            stable = ""
            for revision, t in enumerate(parts):
                assert (t.revision, t.segment) == (revision, segment)
                assert t.text.startswith(stable)
                assert " ".join(w.text for w in t.words) == t.text
                assert t.start == t.words[0].start <= t.words[-1].end == t.end
                stable = t.stable
        begin = (len(a) + 25600) / 16000
        assert ended[0].end <= len(a) / 16000 + 0.4
        assert begin - 0.1 <= ended[1].start <= begin + 1.0


def test_times_count_from_the_base() -> None:
    dec = decoder()
    _, audio = sentence(4)

    def run(base: float) -> list[Transcript]:
        stream = dec.open(base)
        stream.windows.accept(audio)
        stream.windows.end()
        said = []
        while stream.windows.ready:
            said += dec.step([stream])[0]
        stream.close()
        return said

    for early, late in zip(run(0.0), run(100.0), strict=True):
        assert late.start == pytest.approx(early.start + 100)
        assert [w.end for w in late.words] == pytest.approx([w.end + 100 for w in early.words])


def test_a_segment_that_is_too_long_ends_where_a_word_begins() -> None:
    engine = load_engine(TINY)
    rng = np.random.default_rng(8)
    tokens = random_tokens(rng, 60)
    audio = say(tokens, rng)
    for search in searches(engine).values():
        dec = Decoder(engine, search, 4, EndpointRules(longest=3.0))
        said = feed(dec, audio)
        ended = [t for t in said if t.final]
        assert len(ended) >= 3
        assert finals(said) == spell(tokens)
        assert all(2.5 <= t.end - t.start < 5.0 for t in ended[:-1])
        for _, parts in itertools.groupby(said, lambda t: t.segment):
            stable = ""
            for t in parts:
                assert t.text.startswith(stable)
                stable = t.stable


def test_ten_minutes_of_silence_say_nothing_and_do_no_harm() -> None:
    dec = decoder(chunk=16)
    text, audio = sentence(30)
    said = feed(dec, np.concatenate([np.zeros(600 * 16000, np.float32), audio]), cycle([16000]))
    assert finals(said) == text
    assert [t for t in said if t.final][0].start == pytest.approx(600, abs=1.5)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_are_refused_and_nothing_of_it_used(bad: float) -> None:
    dec = decoder()
    text, audio = sentence(6)
    stream = dec.open()
    stream.windows.accept(audio)
    spoilt = np.zeros(100, np.float32)
    spoilt[50] = bad
    with pytest.raises(InputError) as caught:
        stream.windows.accept(spoilt)
    assert caught.value.code == "asr.features.not_finite"
    stream.windows.end()
    said: list[Transcript] = []
    while stream.windows.ready:
        said += dec.step([stream])[0]
    assert finals(said) == text


def test_a_chunk_size_that_the_model_does_not_serve_is_refused() -> None:
    info = load_info()
    assert [info.chunk_of(s) for s in (None, 0.16, 0.32, 0.64, 1.28)] == [8, 2, 4, 8, 16]
    for seconds in (0.2, 0.08, 2.56):
        with pytest.raises(ModelError, match="160ms, 320ms, 640ms, 1280ms") as caught:
            info.chunk_of(seconds)
        assert caught.value.code == "asr.model.chunk"


def test_an_empty_recording_says_nothing() -> None:
    dec = decoder()
    assert [finals(s) for s in dec.transcribe([np.zeros(0, np.float32), np.zeros(1, np.float32)])]
    assert feed(dec, np.zeros(0, np.float32)) == []
    assert dec.engine.pool.free == 8  # type: ignore[attr-defined]
