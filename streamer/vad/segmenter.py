"""From probabilities to spans of speech."""

from __future__ import annotations

from streamer.packets import SpeechSpan

__all__ = ["SpeechSegmenter"]


class SpeechSegmenter:
    """Hysteresis with pre-roll and hang-over, after Silero's ``VADIterator``.

    Speech begins once the probability has reached ``threshold`` and not fallen below
    ``negative_threshold`` for ``min_speech`` seconds; the span starts ``pre_roll`` seconds
    earlier. It ends after ``min_silence`` seconds below ``negative_threshold`` without reaching
    ``threshold`` again; the span then ends ``hang_over`` seconds after the voice did. Spans never
    overlap. Positions are samples at ``rate``. With ``pause`` the silence is told after so many
    seconds already, for those who can prepare for the end; speech may go on after it.
    """

    def __init__(
        self,
        *,
        rate: int = 16000,
        threshold: float = 0.5,
        negative_threshold: float = 0.35,
        min_speech: float = 0.096,
        min_silence: float = 0.5,
        pre_roll: float = 0.25,
        hang_over: float = 0.2,
        pause: float = 0.0,
    ) -> None:
        self._rate = rate
        self._threshold = threshold
        self._negative = negative_threshold
        self._min_speech = round(min_speech * rate)
        self._min_silence = round(min_silence * rate)
        self._pre_roll = round(pre_roll * rate)
        self._hang_over = min(round(hang_over * rate), self._min_silence)
        self._pause = round(pause * rate)
        self._told = False
        self._index = 0
        self._floor = 0
        self._onset: int | None = None
        self._open: float | None = None
        self._silence: int | None = None
        self._peak = 0.0
        self._end = 0

    def push(self, probability: float, start: int, end: int) -> list[SpeechSpan]:
        """Take the probability of speech in samples ``start`` to ``end``; returns new events.

        A ``start`` beyond the previous ``end`` is a gap: nothing is known of it, so it counts
        as silence.
        """
        events: list[SpeechSpan] = []
        if start > self._end:
            events += self._quiet(self._end, start)
        self._end = end
        if probability >= self._threshold:
            events += self._voice(probability, start, end)
        elif probability < self._negative:
            events += self._quiet(start, end)
        elif self._open is None and self._onset is not None:
            events += self._voice(probability, start, end)
        elif self._silence is not None:
            events += self._quiet(start, end)
        return events

    def finish(self) -> list[SpeechSpan]:
        """The stream ends here: close what is open."""
        self._onset = None
        if self._open is None:
            return []
        return [self._close(self._end if self._silence is None else self._silence, self._end)]

    def _voice(self, probability: float, start: int, end: int) -> list[SpeechSpan]:
        self._silence, self._told = None, False
        if self._open is not None:
            self._peak = max(self._peak, probability)
            return []
        if self._onset is None:
            self._onset, self._peak = start, 0.0
        self._peak = max(self._peak, probability)
        if end - self._onset < self._min_speech:
            return []
        self._open = max(self._floor, self._onset - self._pre_roll) / self._rate
        self._onset = None
        return [SpeechSpan("start", self._index, self._open, probability=self._peak)]

    def _quiet(self, start: int, end: int) -> list[SpeechSpan]:
        self._onset = None
        if self._open is None:
            return []
        if self._silence is None:
            self._silence = start
        if end - self._silence >= self._min_silence:
            return [self._close(self._silence, end)]
        if not self._pause or self._told or end - self._silence < self._pause:
            return []
        self._told = True
        voice = self._silence / self._rate
        return [SpeechSpan("pause", self._index, self._open, None, voice, self._peak)]

    def _close(self, voice: int, now: int) -> SpeechSpan:
        assert self._open is not None
        end = min(voice + self._hang_over, now)
        span = SpeechSpan(
            "end", self._index, self._open, end / self._rate, voice / self._rate, self._peak
        )
        self._floor, self._open, self._silence, self._told = end, None, None, False
        self._index += 1
        return span
