"""What travels through a graph: payloads, and the stamp every packet carries.

Payloads are plain frozen dataclasses that the crafts (vad, asr, ...) produce and consume
without knowing of graphs. The graph wraps each in a packet together with a :class:`Stamp`.
``interruptible = False`` says that an interruption does not make the payload stale.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt

__all__ = [
    "AudioEvent",
    "AudioFrame",
    "Played",
    "ReplyText",
    "Samples",
    "SpeechSpan",
    "SpokenAudio",
    "Stamp",
    "Transcript",
    "UserTurn",
    "Word",
]

Samples = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Stamp:
    """Where in the stream a packet belongs and when its newest sample was captured.

    ``position`` counts samples of the source clock (``rate`` Hz) up to the end of the newest
    sample this packet was made from. ``captured_ns`` is the monotonic time (ns, the clock of
    ``loop.time()``) at which that sample left the device, file or socket. What a node derives
    inherits the stamp of what it was derived from, so ``now - captured_ns`` at any sink is the
    true age of what was said. Interruptible packets of a past ``generation`` are stale.
    """

    session: str = ""
    position: int = 0
    rate: int = 16000
    captured_ns: int = 0
    generation: int = 0

    @property
    def seconds(self) -> float:
        """Media time in seconds."""
        return self.position / self.rate

    def with_generation(self, generation: int) -> Stamp:
        """The same moment in another generation."""
        return replace(self, generation=generation)


@dataclass(frozen=True, slots=True)
class AudioFrame:
    """A run of samples.

    ``samples``: float32 [frames, channels], nominal range -1..1. ``rate``: Hz. ``start``: index
    of the first sample since the stream began, in samples at ``rate``; lost audio is counted, so
    a frame whose ``start`` lies beyond the previous frame's ``end`` follows a gap. ``overflow``
    is set when the device reported lost input just before this frame.
    """

    interruptible: ClassVar[bool] = False

    samples: Samples
    rate: int
    start: int = 0
    overflow: bool = False

    @property
    def channels(self) -> int:
        return int(self.samples.shape[1])

    @property
    def end(self) -> int:
        """Index one past the last sample."""
        return self.start + int(self.samples.shape[0])

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return float(self.samples.shape[0]) / self.rate


@dataclass(frozen=True, slots=True)
class SpeechSpan:
    """Speech began (``state="start"``), may be ending (``"pause"``) or ended (``"end"``).

    ``start`` and ``end`` are media seconds, pre-roll and hang-over already applied; ``end`` is
    None while the span is open. ``index`` numbers the spans of a stream from 0.
    ``speech_end`` is where the voice itself stopped (without hang-over), None while it goes on.
    """

    interruptible: ClassVar[bool] = False

    state: Literal["start", "pause", "end"]
    index: int
    start: float
    end: float | None = None
    speech_end: float | None = None
    probability: float = 1.0


@dataclass(frozen=True, slots=True)
class Word:
    """One word with its media times (s) and the recogniser's confidence in 0..1."""

    text: str
    start: float
    end: float
    confidence: float = 1.0


@dataclass(frozen=True, slots=True)
class Transcript:
    """What has been understood of one segment so far.

    ``text[:stable_len]`` is never taken back within the segment: later revisions and the final
    begin with it. ``revision`` rises by one with each transcript of the segment. ``start`` and
    ``end`` are media seconds. A final has ``stable_len == len(text)``.
    """

    interruptible: ClassVar[bool] = False

    text: str
    start: float
    end: float
    segment: int = 0
    revision: int = 0
    stable_len: int = 0
    final: bool = False
    words: tuple[Word, ...] = field(default=())
    language: str = ""

    @property
    def coalesce_key(self) -> int | None:
        """Partials of a segment replace each other on a coalescing edge; finals never do."""
        return None if self.final else self.segment

    @property
    def stable(self) -> str:
        """The part of the text that will not change."""
        return self.text[: self.stable_len]

    @property
    def unstable(self) -> str:
        """The part that may still change."""
        return self.text[self.stable_len :]


@dataclass(frozen=True, slots=True)
class AudioEvent:
    """Something was heard: a sound class, a keyword, a tone, clipping.

    ``state`` is ``start`` or ``end`` of something that lasts, ``instant`` for what has no length.
    ``start`` and ``end`` are media seconds; ``end`` is None while it lasts. ``detector`` names who
    says so (``keyword``, ``wake_word``, ``sound``, ``dtmf``, ``level``), ``label`` what it was.
    """

    interruptible: ClassVar[bool] = False

    detector: str
    label: str
    state: Literal["start", "end", "instant"]
    start: float
    end: float | None = None
    confidence: float = 1.0


@dataclass(frozen=True, slots=True)
class UserTurn:
    """The person has finished speaking and an answer is due.

    ``index`` numbers the turns of a session from 0. ``start`` and ``end`` are media seconds of
    the speech itself. ``reason`` says why the turn was taken to be over.
    """

    interruptible: ClassVar[bool] = False

    index: int
    text: str
    start: float
    end: float
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ReplyText:
    """A piece of the answer to turn ``turn``, as it is written; pieces are simply joined.

    ``last`` closes the answer (its ``text`` may be empty). An interruption makes it stale.
    """

    turn: int
    text: str
    last: bool = False


@dataclass(frozen=True, slots=True)
class SpokenAudio:
    """A run of synthetic speech of the answer to turn ``turn``.

    ``samples``: float32 [frames], mono, at ``rate`` Hz; ``start``: seconds since the answer's
    first sample. ``words`` are those that begin in this run, with times in seconds since the
    answer's first sample. ``clause`` counts from 0. ``last`` closes the answer (``samples`` may
    be empty). An interruption makes it stale.
    """

    turn: int
    clause: int
    samples: Samples
    rate: int
    start: float
    words: tuple[Word, ...] = field(default=())
    last: bool = False

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return float(self.samples.shape[0]) / self.rate


@dataclass(frozen=True, slots=True)
class Played:
    """What of the answer to turn ``turn`` has really been heard so far.

    ``text`` are the words played to their end since the answer began; ``seconds`` how much audio
    was played. ``state``: ``start`` with the first sample, ``playing`` while it goes on, ``done``
    after the last sample, ``interrupted`` when it was cut off.
    """

    interruptible: ClassVar[bool] = False

    turn: int
    text: str
    seconds: float
    state: Literal["start", "playing", "done", "interrupted"]
