"""When is a turn over, and when is the assistant interrupted: rules without a clock of their own.

Everything that happens is told with the time at which it happened (seconds, any monotonic
clock); :attr:`TurnDetector.deadline` says when silence alone will decide something.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from streamer.packets import Played, SpeechSpan, Transcript
from streamer.turns.words import completeness, is_backchannel, is_echo, words_of

__all__ = ["Decision", "TurnDetector", "TurnRules"]

SURE = 3
"""Words that interrupt before the speech has ended; fewer may still become a nod."""
FASTEST = 6.0
"""Words a second; more are what a recogniser makes of a noise."""
FINAL_SLACK = 0.3
"""Seconds by which a final may end before its speech span does."""
PATIENCE = 15.0
"""Seconds an answer may take to begin before nobody waits for it any more."""


@dataclass(frozen=True, slots=True)
class TurnRules:
    """Seconds. The first three count from the end of the voice.

    ``complete``, ``open``, ``incomplete``: silence that ends a turn whose text looks so.
    ``late_final``: how long a final is waited for. ``no_words``: after speech without words the
    assistant goes on so much later. ``wordless``: how long a sound without words may hold the
    assistant up. ``min_confidence``: mean confidence of words that may interrupt.
    """

    complete: float = 0.25
    open: float = 0.6
    incomplete: float = 1.5
    late_final: float = 3.0
    no_words: float = 0.6
    wordless: float = 2.0
    min_confidence: float = 0.4


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do now, why, and ``since`` when it was being decided.

    ``turn``: the person has finished saying ``text`` (media ``start`` to ``end``). ``pause`` and
    ``resume``: the assistant stops speaking for the moment, or goes on. ``interrupt``: the answer
    is over.
    """

    kind: Literal["turn", "pause", "resume", "interrupt"]
    reason: str
    since: float
    text: str = ""
    start: float = 0.0
    end: float = 0.0


class TurnDetector:
    """Takes speech spans, transcripts and what was played; decides.

    While the assistant has the floor, speech first pauses it, so nothing is in a hurry. Words then
    interrupt it, three at once or fewer when the speech has ended; a nod ("mm-hm"), its own echo,
    or no words at all let it go on. A turn consists of the finals since
    the last decision; it is over after a silence that depends on how complete its text is, never
    while a final is still expected. Every final belongs to exactly one turn or to none.
    """

    def __init__(self, rules: TurnRules | None = None) -> None:
        self.rules = rules or TurnRules()
        self._texts: list[str] = []
        self._start = self._end = 0.0
        self._quiet = 0.0
        """When the voice ended."""
        self._speaking = False
        self._awaited: float | None = None
        """Since when the final of an ended span has been expected."""
        self._span_end = 0.0
        self._began = 0.0
        """When speech was noticed."""
        self._voice = 0.0
        """Seconds of voice in the newest span that has ended."""
        self._floor: float | None = None
        """Since when the assistant has had the floor."""
        self._audible = False
        self._played = ""
        self._paused: float | None = None

    @property
    def deadline(self) -> float | None:
        """When :meth:`tick` should be called, if nothing happens before."""
        times = []
        if self._paused is not None:
            if self._speaking:
                times.append(self._paused + self.rules.wordless)
            elif self._awaited is not None:
                times.append(self._awaited + self.rules.no_words)
        elif not self._speaking:
            if self._awaited is not None:
                times.append(self._awaited + self.rules.late_final)
            elif self._texts:
                times.append(self._quiet + self._patience())
        return min(times, default=None)

    def speech(self, span: SpeechSpan, now: float, voice_end: float) -> list[Decision]:
        """Speech began or ended; ``voice_end``: when the voice stopped, for an end."""
        if span.state == "start":
            return self._begin(span, now)
        if span.state == "end":
            self._speaking = False
            self._quiet = voice_end
            self._voice = voice_end - self._began
            self._awaited = now
            self._span_end = span.end or 0.0
            if self._texts:
                self._end = span.speech_end or self._span_end
        return []

    def transcript(self, transcript: Transcript, now: float) -> list[Decision]:
        """New words, or the last word on a segment."""
        done = []
        if transcript.final and transcript.end >= self._span_end - FINAL_SLACK:
            self._awaited = None
        if self._has_floor(now):
            done = self._overlap(transcript, now)
            if self._has_floor(now):
                return done
        done += self._resume("answer over", now)
        if transcript.final and words_of(transcript.text):
            if not self._texts:
                self._start = transcript.start
            self._texts.append(transcript.text.strip())
            voice = transcript.words[-1].end if transcript.words else transcript.end
            self._end = max(self._end, voice)
        return done + self.tick(now)

    def played(self, played: Played, turn: int, now: float) -> list[Decision]:
        """What the speaker says of the answer to ``turn``, the newest one decided."""
        if played.turn == turn and self._floor is not None:
            self._played = played.text
            self._audible = played.state in ("start", "playing")
            if not self._audible:
                self._floor = None
                return self._resume("answer over", now)
        return []

    def tick(self, now: float) -> list[Decision]:
        """Time has passed: decide what silence decides."""
        if self._paused is not None:
            late = self.deadline
            return [] if late is None or now < late else self._resume("no words", now)
        if self._speaking:
            return []
        if self._awaited is not None:
            if now < self._awaited + self.rules.late_final:
                return []
            self._awaited = None
        if not self._texts or now < self._quiet + self._patience():
            return []
        return [self._over(f"{completeness(self._text)} sentence", now)]

    def close(self, reason: str, now: float) -> list[Decision]:
        """Nothing more will be said: whatever there is, is the turn."""
        self._awaited, self._speaking = None, False
        done = self._resume(reason, now)
        return [*done, self._over(reason, now)] if self._texts else done

    def forget(self) -> None:
        """Drop what has been heard but not decided."""
        self._texts.clear()
        self._awaited = self._paused = None

    # -- inside ------------------------------------------------------------------------------

    @property
    def _text(self) -> str:
        return " ".join(self._texts)

    def _patience(self) -> float:
        silence: float = getattr(self.rules, completeness(self._text))
        return silence

    def _has_floor(self, now: float) -> bool:
        if self._floor is not None and not self._audible and now > self._floor + PATIENCE:
            self._floor = None
        return self._floor is not None

    def _begin(self, span: SpeechSpan, now: float) -> list[Decision]:
        done = []
        if self._texts and span.start - self._end > self.rules.incomplete:
            done = [self._over("long silence", now)]
        self._speaking, self._began = True, now
        if self._has_floor(now) and self._paused is None:
            self._paused = now
            done.append(Decision("pause", "speech", now))
        return done

    def _overlap(self, transcript: Transcript, now: float) -> list[Decision]:
        """Words while the assistant has the floor."""
        text, since = transcript.text, now if self._paused is None else self._paused
        voice = self._voice if transcript.final else None
        if is_echo(text, self._played):
            reason = "echo"
        elif self._audible and is_backchannel(text, voice):
            reason = "back-channel"
        elif not words_of(text) or self._unsure(transcript):
            reason = "no words"
        elif transcript.final or _sure(transcript):
            self._paused = self._floor = None
            self._audible = False
            return [Decision("interrupt", "words", since, text)]
        else:
            return []
        return self._resume(reason, now) if transcript.final and not self._speaking else []

    def _unsure(self, transcript: Transcript) -> bool:
        sure = [word.confidence for word in transcript.words]
        return bool(sure) and sum(sure) / len(sure) < self.rules.min_confidence

    def _resume(self, reason: str, now: float) -> list[Decision]:
        if self._paused is None:
            return []
        since, self._paused = self._paused, None
        return [Decision("resume", reason, since)]

    def _over(self, reason: str, now: float) -> Decision:
        decision = Decision("turn", reason, self._quiet, self._text, self._start, self._end)
        self._texts.clear()
        self._floor, self._audible, self._played = now, False, ""
        return decision


def _sure(partial: Transcript) -> bool:
    count = len(words_of(partial.text))
    return SURE <= count <= FASTEST * (partial.end - partial.start)
