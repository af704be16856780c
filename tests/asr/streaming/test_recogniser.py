"""Many sessions through one engine thread: batching, isolation, gaps, flush."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from streamer.asr.interop import load_engine
from streamer.asr.streaming import Decoder, StreamingRecogniser
from streamer.asr.streaming.search import GreedySearch
from streamer.errors import InputError, ModelError
from streamer.graph import virtual
from streamer.packets import Transcript
from tests.asr.streaming.helpers import TINY, finals
from tests.asr.tones import noise, random_tokens, say, spell


def setup(slots: int = 16, chunk: int = 4) -> tuple[StreamingRecogniser, Decoder]:
    engine = load_engine(TINY, slots=slots)
    return StreamingRecogniser(engine), Decoder(engine, GreedySearch(engine), chunk)


def sentence(seed: int) -> tuple[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    tokens = random_tokens(rng, int(rng.integers(3, 12)))
    return spell(tokens), np.concatenate([noise(0.2, seed), say(tokens, rng)])


def test_many_sessions_at_once_hear_what_each_would_alone() -> None:
    recogniser, decoder = setup()
    other = Decoder(decoder.engine, decoder.search, chunk=2)

    async def session(seed: int) -> str:
        text, audio = sentence(seed)
        stream = recogniser.open(decoder if seed % 2 else other)
        rng = np.random.default_rng(seed)
        said: list[Transcript] = []
        at = 0
        while at < audio.size:
            size = int(rng.integers(1, 8000))
            said += await stream.accept(audio[at : at + size])
            at += size
            await asyncio.sleep(float(rng.uniform(0, 0.05)))
        said += await stream.flush()
        stream.close()
        assert finals(said) == text
        return text

    async def main() -> None:
        texts = await asyncio.gather(*(session(seed) for seed in range(16)))
        assert all(texts)
        await recogniser.aclose()

    virtual.run(main())


def test_a_cancelled_session_leaves_the_others_alone_and_frees_its_slot() -> None:
    recogniser, decoder = setup(slots=2)
    text, audio = sentence(1)

    async def session(stream: object) -> str:
        said = await stream.accept(audio)  # type: ignore[attr-defined]
        return finals(said + await stream.flush())  # type: ignore[attr-defined]

    async def main() -> None:
        keep, drop = recogniser.open(decoder), recogniser.open(decoder)
        with pytest.raises(ModelError) as caught:
            recogniser.open(decoder)
        assert caught.value.code == "asr.no-slot"
        kept, dropped = asyncio.create_task(session(keep)), asyncio.create_task(session(drop))
        await asyncio.sleep(0.006)
        dropped.cancel()
        drop.close()
        late = recogniser.open(decoder)
        assert await session(late) == text
        assert await kept == text
        await recogniser.aclose()

    virtual.run(main())


def test_bad_audio_is_refused_and_heard_as_a_gap() -> None:
    recogniser, decoder = setup()
    text, audio = sentence(2)

    async def main() -> None:
        stream = recogniser.open(decoder)
        said = await stream.accept(audio, 0)
        with pytest.raises(InputError):
            await stream.accept(np.full(160, np.nan, np.float32), audio.size)
        said += await stream.accept(noise(0.5), audio.size + 160)
        said += await stream.flush()
        assert finals(said) == text
        await recogniser.aclose()

    virtual.run(main())


@pytest.mark.parametrize("gap", [0.5, 3.0])
def test_times_stay_true_over_lost_audio_and_flushes(gap: float) -> None:
    recogniser, decoder = setup()
    first, a = sentence(3)
    second, b = sentence(4)

    async def main() -> None:
        stream = recogniser.open(decoder)
        begin = a.size + round(gap * 16000)
        said = await stream.accept(a, 0)
        said += await stream.accept(b, begin)
        said += await stream.accept(b[-100:], begin + b.size - 100)  # heard already
        said += await stream.flush()
        third = begin + b.size
        said += await stream.accept(a, third)
        said += await stream.flush()
        assert finals(said) == f"{first} {second} {first}"
        last = [t for t in said if t.final]
        assert [t.segment for t in last] == list(range(len(last)))
        words = [w for t in last for w in t.words]
        assert words[0].start == pytest.approx(0.25, abs=0.25)
        assert words[len(first.split())].start == pytest.approx(begin / 16000 + 0.25, abs=0.25)
        assert last[-1].start == pytest.approx(third / 16000 + 0.25, abs=0.25)
        await recogniser.aclose()

    virtual.run(main())


def test_forget_drops_what_was_not_said() -> None:
    recogniser, decoder = setup()
    text, audio = sentence(5)

    async def main() -> None:
        stream = recogniser.open(decoder)
        await stream.accept(audio[: audio.size // 2])
        stream.forget()
        said = await stream.accept(audio)
        said += await stream.flush()
        assert finals(said) == text
        await recogniser.aclose()

    virtual.run(main())
