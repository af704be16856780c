"""One stream of audio through the model and the segmenter."""

from __future__ import annotations

import numpy as np

from streamer.audio.samples import clean
from streamer.packets import AudioFrame, Samples, SpeechSpan
from streamer.vad.segmenter import SpeechSegmenter
from streamer.vad.silero import CHUNK, Piece, SileroState

__all__ = ["SpeechStream"]

_LONGEST = 16
"""Chunks in a piece."""


class SpeechStream:
    """Frames in (16 kHz mono), speech starts and ends out; the model runs elsewhere.

    Each piece must go through the model before the next: ``SileroModel.run_pieces`` makes its
    probabilities, :meth:`heard` takes them. The result does not depend on how the audio is cut
    into frames. After a gap the model starts afresh and the gap counts as silence. NaN samples
    count as 0.
    """

    def __init__(self, segmenter: SpeechSegmenter | None = None) -> None:
        self._segmenter = segmenter or SpeechSegmenter()
        self._state = SileroState()
        self._held: Samples = np.zeros(0, np.float32)
        self._position = 0

    def take(self, frame: AudioFrame) -> list[Piece]:
        """Take a frame; returns what the model has to run for it."""
        pieces: list[Piece] = []
        if frame.start != self._position + len(self._held):
            pieces = self._drain()
            self._position = frame.start
            self._state = SileroState()
        samples, _ = clean(frame.samples[:, 0])
        held = np.concatenate([self._held, samples])
        whole = len(held) // CHUNK * CHUNK
        self._held = held[whole:]
        return pieces + self._cut(held[:whole], whole)

    def heard(self, piece: Piece, probabilities: Samples) -> list[SpeechSpan]:
        """Take the ``[chunks]`` probabilities of a piece; returns what began or ended."""
        events: list[SpeechSpan] = []
        at = piece.start
        for probability in probabilities.tolist():
            end = min(at + CHUNK, piece.end)
            events += self._segmenter.push(probability, at, end)
            at = end
        return events

    def rest(self) -> list[Piece]:
        """The stream, or what is wanted of it, ends here: what is left for the model."""
        return self._drain()

    def finish(self) -> list[SpeechSpan]:
        """Close an open span, once :meth:`rest` has been heard."""
        return self._segmenter.finish()

    def _drain(self) -> list[Piece]:
        """The partial chunk, filled up with zeros."""
        held, self._held = self._held, np.zeros(0, np.float32)
        return self._cut(np.pad(held, (0, -len(held) % CHUNK)), len(held))

    def _cut(self, samples: Samples, length: int) -> list[Piece]:
        if not length:
            return []
        start, self._position = self._position, self._position + length
        size, stop = _LONGEST * CHUNK, self._position
        return [
            Piece(
                samples[at : at + size].reshape(-1, CHUNK),
                self._state,
                start + at,
                min(start + at + size, stop),
            )
            for at in range(0, len(samples), size)
        ]
