"""Audio in MQTT messages: raw samples, numbered if the sender wishes."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from pydantic import BaseModel, Field, ValidationError

from streamer.audio.samples import PcmFormat, clean, from_pcm, sample_width
from streamer.errors import InputError
from streamer.packets import AudioFrame

__all__ = ["AudioFormat", "PcmReader"]

_NUMBER = 4
_WRAP = 1 << (8 * _NUMBER)
_REPEATS = 64
_LONGEST_GAP = 1 << 16
"""A number up to ``_REPEATS`` back is a repetition, one further ahead than this a new sender."""


class AudioFormat(BaseModel):
    """What the samples are; as JSON it is the message that announces them."""

    format: PcmFormat = "s16le"
    rate: int = Field(default=16000, gt=0, le=768_000)
    channels: int = Field(default=1, gt=0, le=64)

    @classmethod
    def from_message(cls, payload: bytes) -> AudioFormat:
        """Read ``{"format": "s16le", "rate": 16000, "channels": 1}``.

        Raises :class:`InputError` (``mqtt.bad-format``).
        """
        try:
            return cls.model_validate_json(payload)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "the message"
            raise InputError(
                f"The announced audio format cannot be used: {where}: {first['msg']}.",
                code="mqtt.bad-format",
                hint=f"Send JSON such as {json.dumps(cls().model_dump())}.",
            ) from None


@dataclass
class PcmReader:
    """Payloads to frames on one sample clock.

    With ``numbered``, each payload begins with a message number (unsigned 32 bit, little-endian,
    wrapping). Missing messages then leave a gap in ``start``, as long as the message before it
    for each; repeated ones (QoS 1 may repeat) are dropped.
    """

    layout: AudioFormat
    numbered: bool = False
    position: int = 0
    not_finite: int = 0
    _next: int | None = None
    _length: int = field(default=0, repr=False)

    def read(self, payload: bytes, dropped: int = 0) -> AudioFrame | None:
        """The frame of ``payload``; None if it is a repetition.

        ``dropped`` messages are known to be missing before it, numbered or not.

        Raises :class:`InputError` (``mqtt.bad-audio``) when it is no whole number of frames.
        """
        missing = dropped
        if self.numbered:
            number = int.from_bytes(payload[:_NUMBER], "little")
            payload = payload[_NUMBER:]
            missing = 0 if self._next is None else (number - self._next) % _WRAP
            if _WRAP - missing <= _REPEATS:
                return None
            if missing > _LONGEST_GAP:
                missing = dropped
        size = sample_width(self.layout.format) * self.layout.channels
        if not payload or len(payload) % size:
            raise InputError(
                f"A message of {len(payload)} bytes of audio is not a whole number of frames "
                f"of {size} bytes.",
                code="mqtt.bad-audio",
                hint="Check `format`, `channels` and `numbered`.",
            )
        if self.numbered:
            self._next = (number + 1) % _WRAP
        samples, bad = clean(from_pcm(payload, self.layout.format, self.layout.channels))
        self.not_finite += bad
        start = self.position + missing * self._length
        self._length = len(samples)
        frame = AudioFrame(samples, self.layout.rate, start, overflow=missing > 0)
        self.position = frame.end
        return frame
