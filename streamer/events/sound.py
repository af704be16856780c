"""Sounds of a few classes (dog, rain, siren ...), heard as they happen, by a small causal CRNN.

The network (tools/event_train) gives each class a probability every 40 ms; here is the stream
around it: features, state, and from probabilities to starts and ends.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from streamer.asr.features import LOG_FLOOR, FeatureStream
from streamer.audio.samples import clean
from streamer.errors import InputError, ModelError
from streamer.events.hysteresis import Change, Hysteresis
from streamer.ort import session_options
from streamer.packets import AudioEvent, AudioFrame, Samples

__all__ = ["Piece", "SoundModel", "SoundRules", "SoundStream"]

RATE = 16000
HOP = 16
"""Feature rows (10 ms) that go through the network together."""


@dataclass(slots=True)
class Piece:
    """Features ``[HOP, 80]`` and the state of the stream they belong to."""

    rows: NDArray[np.float32]
    state: list[NDArray[np.float32]]
    """Replaced by the next state once the piece has run."""


class SoundModel:
    """The exported network. ``run`` takes pieces of any number of streams at once.

    Raises ``events.sound.model`` for a file that is not such a network.
    """

    def __init__(self, path: Path, threads: int = 1) -> None:
        try:
            self._session = ort.InferenceSession(
                str(path), session_options(threads), providers=["CPUExecutionProvider"]
            )
            meta = self._session.get_modelmeta().custom_metadata_map
            if meta.get("model_type") != "streamer_sound_events":
                raise ValueError("its metadata do not say that it is a sound event model")
            self.labels = tuple(meta["labels"].split("\t"))
            self.subsampling = int(meta["subsampling_factor"])
        except Exception as error:  # onnxruntime has no error class of its own
            raise ModelError(
                f"{path} is not a sound event model: {error}",
                code="events.sound.model",
                hint="Use a file that tools/train_events.py wrote.",
            ) from error
        self._inputs = [i for i in self._session.get_inputs() if i.name != "features"]
        self._axes = [1 if i.name == "gru" else 0 for i in self._inputs]
        """Which axis of each state counts the streams."""

    def initial(self) -> list[NDArray[np.float32]]:
        """The state before the first piece, one stream wide."""
        shapes = [[1 if isinstance(d, str) else d for d in i.shape] for i in self._inputs]
        return [np.zeros(shape, np.float32) for shape in shapes]

    def run(self, pieces: Sequence[Piece]) -> list[NDArray[np.float32]]:
        """Probabilities ``[HOP / 4, classes]`` of each piece; their states move on."""
        feed = {"features": np.stack([piece.rows for piece in pieces])}
        for k, (i, axis) in enumerate(zip(self._inputs, self._axes, strict=True)):
            feed[i.name] = np.concatenate([piece.state[k] for piece in pieces], axis=axis)
        probabilities, *after = self._session.run(None, feed)
        for n, piece in enumerate(pieces):
            piece.state[:] = [
                part.take([n], axis=axis) for part, axis in zip(after, self._axes, strict=True)
            ]
        return list(probabilities)


@dataclass(frozen=True, slots=True)
class SoundRules:
    """When a probability (smoothed over ``smooth`` s) is an event; times in seconds."""

    on: float = 0.5
    off: float = 0.25
    min_on: float = 0.12
    min_off: float = 0.6
    smooth: float = 0.3
    labels: Mapping[str, float] = field(default_factory=dict)
    """Only these, each with its own ``on``; empty: all of them."""


class SoundStream:
    """One stream: ``take`` frames, run the pieces, tell ``heard`` their probabilities."""

    def __init__(self, model: SoundModel, rules: SoundRules | None = None) -> None:
        rules = rules or SoundRules()
        unknown = sorted(set(rules.labels) - set(model.labels))
        if unknown:
            raise InputError(
                f"the sound model does not know {', '.join(map(repr, unknown))}",
                code="events.sound.label",
                hint=f"It knows {', '.join(model.labels)}.",
            )
        self._model = model
        self._frame = model.subsampling * 0.01
        self._decay = float(np.exp(-self._frame / rules.smooth)) if rules.smooth > 0 else 0.0
        wanted = rules.labels or dict.fromkeys(model.labels, rules.on)
        self._states = {
            model.labels.index(label): Hysteresis(
                on, min(rules.off, on), rules.min_on, rules.min_off
            )
            for label, on in wanted.items()
        }
        self._begin(0)

    def _begin(self, position: int) -> None:
        self._features = FeatureStream()
        self._state = self._model.initial()
        self._rows = np.empty((0, 80), np.float32)
        self._position = position
        """Index of the next sample."""
        self._at = position / RATE
        """Media time up to which probabilities are known."""
        self._level: NDArray[np.float32] = np.zeros(len(self._model.labels), np.float32)

    def take(self, frame: AudioFrame) -> tuple[list[AudioEvent], list[Piece]]:
        """Take a frame (16 kHz mono): what a gap before it ended, and what is to be run.

        NaN and infinite samples count as 0. After a gap everything begins anew.
        """
        ended: list[AudioEvent] = []
        if frame.start != self._position:
            ended = self.finish()
            self._begin(frame.start)
        samples: Samples = clean(frame.samples[:, 0])[0]
        self._position += len(samples)
        return ended, self._cut(self._features.accept(samples))

    def _cut(self, rows: NDArray[np.float32]) -> list[Piece]:
        self._rows = np.concatenate([self._rows, np.maximum(rows, LOG_FLOOR)])
        whole = len(self._rows) // HOP * HOP
        ready, self._rows = self._rows[:whole], self._rows[whole:]
        return [Piece(ready[at : at + HOP], self._state) for at in range(0, whole, HOP)]

    def heard(self, probabilities: NDArray[np.float32]) -> list[AudioEvent]:
        """What began or ended, given the probabilities ``[n, classes]`` of the next piece."""
        events = []
        for row in probabilities:
            self._level = self._decay * self._level + (1 - self._decay) * row
            begin, self._at = self._at, self._at + self._frame
            for index, state in self._states.items():
                change = state.push(float(self._level[index]), begin, self._at)
                events += self._events(index, change)
        return events

    def finish(self) -> list[AudioEvent]:
        """The stream ends, or what is wanted of it: the end of all that goes on."""
        return [
            event
            for index, state in self._states.items()
            for event in self._events(index, state.close(self._at))
        ]

    def _events(self, index: int, change: Change | None) -> list[AudioEvent]:
        if change is None:
            return []
        label = self._model.labels[index]
        return [AudioEvent("sound", label, change.state, change.start, change.end, change.peak)]
