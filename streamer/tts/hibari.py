"""The default voice: hibari-tts (Apache-2.0), network, lexicon and number reader in its wheel."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from streamer.errors import ModelError
from streamer.ort import session_options
from streamer.packets import Samples, Word
from streamer.tts.voice import Run, spread

__all__ = ["HibariVoice"]

DURATIONS = "/Cast_32_output_0"
"""Length of each phoneme inside the network, in equal steps: the word times."""
SILENCE = 1e-3
LEAD, TAIL = 0.02, 0.2
"""Seconds of silence kept before and behind a sentence; the network makes 0.3 s of each."""


class HibariVoice:
    """Speaks a clause of four seconds in about 30 ms on one thread; safe to share.

    ``speed`` 1.0 is the voice's own pace. ``seed`` makes the noise in the sound repeatable.
    """

    def __init__(self, voice: str = "heart", speed: float = 1.0, seed: int | None = 0) -> None:
        try:
            from hibari import Hibari, dsp
            from hibari.voices import VOICES, voice_path
        except ImportError as error:
            raise ModelError(
                "The voice needs the package hibari-tts.",
                code="tts.missing",
                hint="pip install 'streamer[tts]'",
            ) from error
        if voice not in VOICES:
            raise ModelError(
                f"There is no voice {voice!r}.",
                code="tts.voice.unknown",
                hint=f"Voices: {', '.join(VOICES)}.",
            )
        try:
            path = voice_path(voice)
        except (RuntimeError, OSError) as error:
            raise ModelError(
                f"The voice {voice!r} is not installed and could not be fetched: {error}",
                code="tts.voice.missing",
                hint="The voice 'heart' is part of the package and works offline.",
            ) from error
        self.rate: int = Hibari.sample_rate
        self._speed, self._seed = speed, seed
        self._dsp = dsp
        self._session = _with_durations(path)
        self._hibari = Hibari(voice=voice)
        self._hibari.g2p  # loads the lexicon  # noqa: B018
        self._lock = threading.Lock()
        """The phonemizer keeps state while it works."""

    def speak(self, text: str) -> Iterator[Run]:
        """One run a sentence (clauses seldom hold more than one)."""
        before = 0.0
        for sentence in self._hibari.split_sentences(text):
            with self._lock:
                phonemes, spans = self._phonemes(sentence)
            if not phonemes:
                continue
            for piece, words in _pieces(phonemes, spans):
                samples, durations = self._sound(piece)
                marks = self._words(piece, words, durations, samples.shape[0] / self.rate)
                begin, end = self._voiced(samples)
                length = (end - begin) / self.rate
                shift = before - begin / self.rate
                limit = before + length
                yield Run(samples[begin:end], tuple(_moved(w, shift, before, limit) for w in marks))
                before += length

    def _phonemes(self, sentence: str) -> tuple[str, list[tuple[str, int, int]]]:
        """The phonemes, and each word with its place in them."""
        from hibari.g2p import normalize

        g2p = self._hibari.g2p
        out, spans, word, begin = "", [], "", 0
        for token in g2p.phonemize_tokens(g2p.tokenize(normalize(sentence))):
            word += token.text
            out += token.phonemes or ""
            if token.whitespace:
                spans.append((word, begin, len(out)))
                out += " "
                word, begin = "", len(out)
        if word:
            spans.append((word, begin, len(out)))
        return out.rstrip(), spans

    def _sound(self, phonemes: str) -> tuple[Any, Any]:
        ids = self._hibari.ids(phonemes)
        if len(ids) < 3:
            return np.zeros(0, np.float32), None
        feed = {
            "ids": np.asarray([ids], np.int64),
            "speed": np.asarray([self._speed], np.float32),
        }
        *parts, durations = self._session.run(None, feed)
        rng = np.random.default_rng(self._seed)
        samples = self._dsp.synth(*(part[0] for part in parts), rng)
        return samples.astype(np.float32), durations.ravel()

    def _voiced(self, samples: Samples) -> tuple[int, int]:
        """Where the sound begins and ends, with a little silence around it."""
        loud = np.flatnonzero(np.abs(samples) > SILENCE)
        if loud.size == 0:
            return 0, samples.shape[0]
        begin = max(int(loud[0]) - int(LEAD * self.rate), 0)
        return begin, min(int(loud[-1]) + int(TAIL * self.rate), samples.shape[0])

    def _words(
        self, phonemes: str, spans: list[tuple[str, int, int]], durations: Any, length: float
    ) -> tuple[Word, ...]:
        known = self._hibari.vocab
        if durations is None or len(durations) != 2 + sum(c in known for c in phonemes):
            return spread(" ".join(w for w, _, _ in spans), length)
        ends = np.cumsum(durations) * length / durations.sum()
        # id i + 1 belongs to the i-th known phoneme; id 0 is the pad in front
        index = np.cumsum([c in known for c in phonemes])
        out = []
        for text, begin, end in spans:
            first = int(index[begin - 1]) if begin else 0
            last = int(index[min(end, len(index)) - 1]) if end else 0
            start = float(ends[first])
            out.append(Word(text, start, max(float(ends[last]), start)))
        return tuple(out)


def _pieces(
    phonemes: str, spans: list[tuple[str, int, int]], limit: int = 400
) -> Iterator[tuple[str, list[tuple[str, int, int]]]]:
    """No more phonemes at once than the network was made for, cut between words."""
    begin, group = 0, list[tuple[str, int, int]]()
    for span in spans:
        if group and span[2] - begin > limit:
            yield phonemes[begin : group[-1][2]], group
            begin, group = span[1], []
        group.append((span[0], span[1] - begin, span[2] - begin))
    if group:
        yield phonemes[begin:], group


def _moved(word: Word, seconds: float, low: float, high: float) -> Word:
    start, end = (min(max(t + seconds, low), high) for t in (word.start, word.end))
    return Word(word.text, start, end)


def _with_durations(path: str) -> Any:
    """A session that also gives the frames of each phoneme."""
    value = b"\x0a" + bytes([len(DURATIONS)]) + DURATIONS.encode()  # ValueInfoProto.name
    output = b"\x62" + bytes([len(value)]) + value  # GraphProto.output
    # Protobuf merges a second ModelProto.graph into the first.
    model = Path(path).read_bytes() + b"\x3a" + bytes([len(output)]) + output
    return ort.InferenceSession(model, session_options(), providers=["CPUExecutionProvider"])
