"""One stream of audio on its way through the recogniser: samples, windows, segments."""

from __future__ import annotations

from typing import Any

import numpy as np

from streamer.asr.features import (
    FRAME_SHIFT,
    LOG_FLOOR,
    FeatureStream,
    fbank_options,
    kaldi_options,
)
from streamer.asr.streaming.endpoint import EndpointRules
from streamer.asr.streaming.engine import Floats, ModelInfo
from streamer.asr.streaming.search import Hypothesis, Search
from streamer.asr.streaming.text import Detokeniser
from streamer.errors import InputError
from streamer.packets import Samples, Transcript

__all__ = ["Segmenter", "Windows"]

_REACH = 280
"""Samples after a frame's nominal beginning that its 25 ms window needs."""


class Windows:
    """Samples in, windows of features out, of which each repeats the end of the one before.

    ``ready`` tells from counts alone whether a window can be taken, so that the features
    themselves are computed by whoever calls ``take`` (the engine's thread).
    """

    def __init__(self, info: ModelInfo, chunk: int) -> None:
        self._info = info
        self._chunk = chunk
        self._shift = chunk * info.subsampling
        options = fbank_options() if info.features == "slaney" else kaldi_options()
        options.mel_opts.num_bins = info.mel
        self._features = FeatureStream(options)
        self._waiting: list[Samples] = []
        self._rows: Floats = np.empty((0, info.mel), np.float32)
        self._samples = 0
        self._taken = 0
        self._ended = False

    def accept(self, samples: Samples) -> None:
        """Take mono samples ``[n]`` at 16 kHz; refuses NaN and infinity, taking nothing."""
        if samples.ndim != 1:
            raise InputError(
                f"the recogniser needs mono samples of shape [n], got shape {samples.shape}",
                code="asr.features.shape",
                hint="Mix the channels down first.",
            )
        if not np.isfinite(samples).all():
            raise InputError(
                "the audio holds NaN or infinite samples",
                code="asr.features.not_finite",
                hint="Look at the device or decoder it came from; nothing of it was used.",
            )
        if samples.size:
            self._waiting.append(samples)
            self._samples += samples.size

    def end(self) -> None:
        """No more samples: what follows is as much silence as the model needs to finish."""
        self._ended = True

    @property
    def ready(self) -> bool:
        """Whether ``take`` has a window to give."""
        if self._ended:
            rows = (self._samples + FRAME_SHIFT // 2) // FRAME_SHIFT
            return self._taken < self._info.windows(rows, self._chunk)
        last = self._taken * self._shift + self._info.rows(self._chunk) - 1
        return self._samples >= last * FRAME_SHIFT + _REACH

    @property
    def finished(self) -> bool:
        """Whether the audio has ended and every window of it was taken."""
        return self._ended and not self.ready

    def take(self) -> Floats:
        """The next window ``[rows, mel]``."""
        made = [self._features.accept(samples) for samples in self._waiting]
        self._waiting.clear()
        if self._ended:
            made.append(self._features.flush())
        self._rows = np.concatenate([self._rows, *made])
        size = self._info.rows(self._chunk)
        window, self._rows = self._rows[:size], self._rows[self._shift :]
        self._taken += 1
        if len(window) < size:
            silence = np.full((size - len(window), self._info.mel), LOG_FLOOR, np.float32)
            window = np.concatenate([window, silence])
        return window


class Segmenter:
    """Turns the hypotheses of one stream into transcripts, segment by segment."""

    def __init__(
        self, search: Search, words: Detokeniser, info: ModelInfo, rules: EndpointRules
    ) -> None:
        self._search, self._words, self._info, self._rules = search, words, info, rules
        self.state: Any = search.start()
        self.segment = 0
        self.base = 0.0
        """Media seconds of the stream's first sample."""
        self._begin = 0
        self._revision = 0
        self._shown = ("", 0)

    @property
    def seconds(self) -> float:
        """Media time up to which frames have been searched."""
        return self.base + float(self.state.frame) * self._info.frame_seconds

    def update(self) -> tuple[list[Transcript], bool]:
        """Transcripts after a chunk, and whether silence ended the segment."""
        best = self._search.best(self.state)
        split = self._split_at(best)
        if split is not None:
            made = self._final(_head(best, split))
            self._next(drop=split)
            best = self._search.best(self.state)
            return made + self._partial(best), False
        newest = best.frames[-1] + 1 if best.frames else self._begin
        silence = (self.state.frame - newest) * self._info.frame_seconds
        if self._rules.silent_enough(silence, bool(best.tokens)):
            return self.finish(), True
        return self._partial(best), False

    def finish(self) -> list[Transcript]:
        """End the segment here; returns its final transcript if anything was said."""
        made = self._final(self._search.finish(self.state))
        self._next()
        return made

    def restart(self, base: float) -> None:
        """A new stream begins at media time ``base`` (s); segments are numbered on."""
        if self._revision:
            self.segment += 1
        self.state = self._search.start()
        self.base = base
        self._begin, self._revision, self._shown = 0, 0, ("", 0)

    def _split_at(self, best: Hypothesis) -> int | None:
        """The first word that begins after the longest time a segment may last."""
        longest = self._rules.longest
        if longest is None or len(best.tokens) < 2:
            return None
        limit = best.frames[0] + round(longest / self._info.frame_seconds)
        for i, (token, frame) in enumerate(zip(best.tokens, best.frames, strict=True)):
            if i and frame >= limit and self._words.begins_word(token):
                return i
        return None

    def _partial(self, best: Hypothesis) -> list[Transcript]:
        text = self._words.text(best.tokens)
        stable = len(self._words.text(best.tokens[: best.stable]))
        if not text or (text, stable) == self._shown:
            return []
        self._shown = (text, stable)
        return [self._transcript(best, text, stable, final=False)]

    def _final(self, best: Hypothesis) -> list[Transcript]:
        text = self._words.text(best.tokens)
        if not text and not self._shown[0]:
            return []
        return [self._transcript(best, text, len(text), final=True)]

    def _transcript(self, best: Hypothesis, text: str, stable: int, final: bool) -> Transcript:
        words = self._words.words(best, self.base)
        here = self.seconds
        made = Transcript(
            text,
            start=words[0].start if words else here,
            end=words[-1].end if words else here,
            segment=self.segment,
            revision=self._revision,
            stable_len=stable,
            final=final,
            words=words,
            language=self._info.language,
        )
        self._revision += 1
        return made

    def _next(self, drop: int | None = None) -> None:
        if self._revision:
            self.segment += 1
        self._search.restart(self.state, drop)
        self._begin = self.state.frame
        self._revision, self._shown = 0, ("", 0)


def _head(best: Hypothesis, count: int) -> Hypothesis:
    return Hypothesis(
        best.tokens[:count], best.frames[:count], best.logps[:count], count, best.score
    )
