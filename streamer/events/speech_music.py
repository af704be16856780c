"""Speech, music, both or neither, by what sets them apart in the long run.

Every half second the last two seconds of log-mel frames give some forty figures: how much of the
energy's modulation is at the rate of syllables (4 Hz), how many frames are soft, how much the
spectrum changes from frame to frame, how long its peaks stay (Scheirer and Slaney, "Construction
and evaluation of a robust multifeature speech/music discriminator", ICASSP 1997), a beat, and how
much the cepstrum moves. None depends on the level or on a steady colouring. A small perceptron
(tools/train_speech_music.py) makes two probabilities of them: speech is there, music is there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streamer.asr.features import FRAME_SHIFT, LOG_FLOOR, NUM_MEL, SAMPLE_RATE, FeatureStream
from streamer.audio.samples import clean
from streamer.errors import ModelError
from streamer.events.hysteresis import Hysteresis
from streamer.packets import AudioEvent, AudioFrame

__all__ = ["HOP", "LABELS", "WINDOW", "SpeechMusicModel", "SpeechMusicRules", "SpeechMusicStream",
           "describe"]  # fmt: skip

LABELS = ("speech", "music")
WINDOW, HOP = 200, 50
"""Frames (10 ms) that are looked at together, and from one look to the next."""
RANGE = 9.0
"""Below the loudest by more than this (nepers of power, 39 dB) is as good as silent."""
SILENT = -11.5
"""Of 99 % of the log-mel values; below it (white noise of -58 dBFS) nothing can be told."""
LAGS = (3, 10, 25, 50)

Floats = NDArray[np.float64]


def describe(rows: NDArray[np.float32]) -> Floats:
    """The figures of ``[WINDOW, 80]`` log-mel frames, ``[features]``."""
    mel = np.maximum(rows.astype(np.float64), np.percentile(rows, 99) - RANGE)
    energy = np.log(np.exp(mel).sum(axis=1))
    loud = np.exp(energy - energy.max())
    spread = energy.std() + 1e-3
    figures = [
        float((loud < 0.5 * loud.mean()).mean()),  # soft frames
        spread,
        float((((energy - energy.mean()) / spread) ** 3).mean()),
    ]
    # modulation of eight bands
    bands = mel.reshape(WINDOW, 8, NUM_MEL // 8).mean(axis=2)
    swing = np.abs(np.fft.rfft((bands - bands.mean(axis=0)) * _HANN[:, None], axis=0)) ** 2
    swing = swing.mean(axis=1)  # bins of 0.5 Hz
    whole = swing[1:].sum() + 1e-3
    edges = (1, 3, 6, 12, 20, 40, 101)
    figures += [
        float(np.log(swing[a:b].sum() / whole + 1e-3)) for a, b in zip(edges, edges[1:], strict=False)
    ]
    # change from frame to frame
    step = np.abs(np.diff(mel, axis=0))
    flux = step.mean(axis=1)
    figures += [float(np.log(flux.mean() + 1e-2)), float(flux.std() / (flux.mean() + 1e-2))]
    # a beat: the onsets come back after 0.25 to 1 s
    rise = np.maximum(np.diff(mel, axis=0), 0).mean(axis=1)
    rise -= rise.mean()
    again = np.fft.irfft(np.abs(np.fft.rfft(rise, 512)) ** 2)
    figures.append(float(again[25:100].max() / (again[0] + 1e-3)))
    # peaks across frequency, and how long they stay
    padded = np.pad(mel, ((0, 0), (3, 3)), mode="edge")
    total = np.cumsum(np.pad(padded, ((0, 0), (1, 0))), axis=1)
    peaks = mel - (total[:, 7:] - total[:, :-7]) / 7
    size = np.sqrt((peaks**2).sum(axis=1)) + 1e-3
    heard = energy > energy.max() - 5
    figures.append(float(np.log(size[heard].mean())))
    for lag in LAGS:
        same = (peaks[:-lag] * peaks[lag:]).sum(axis=1) / (size[:-lag] * size[lag:])
        both = heard[:-lag] & heard[lag:]
        figures.append(float(same[both].mean()) if both.any() else 0.0)
    # the cepstrum: how much it moves
    cepstrum = mel @ _DCT
    figures += np.log(cepstrum.std(axis=0) + 0.02).tolist()
    figures += np.log(np.diff(cepstrum, axis=0)[:, :6].std(axis=0) + 0.02).tolist()
    return np.array(figures)


_HANN = np.hanning(WINDOW)
_DCT = np.cos(np.pi * np.outer(np.arange(NUM_MEL) + 0.5, np.arange(1, 13)) / NUM_MEL) / NUM_MEL


class SpeechMusicModel:
    """The weights of a .json file; ``events.speech-music.model`` if it is not such a file."""

    def __init__(self, path: Path) -> None:
        try:
            data = json.loads(path.read_text("utf-8"))
            self.mean, self.scale, *self.layers = (
                np.array(data[name]) for name in ("mean", "scale", "w1", "b1", "w2", "b2")
            )
            self.probabilities(np.zeros((WINDOW, NUM_MEL), np.float32))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(
                f"{path} holds no weights for telling speech from music: {error}",
                code="events.speech-music.model",
                hint="Use a file that tools/train_speech_music.py wrote.",
            ) from error

    def probabilities(self, rows: NDArray[np.float32]) -> Floats:
        """Of ``[WINDOW, 80]`` log-mel frames: probabilities of :data:`LABELS`."""
        if np.percentile(rows, 99) < SILENT:
            return np.zeros(len(LABELS))
        w1, b1, w2, b2 = self.layers
        figures = np.clip((describe(rows) - self.mean) / self.scale, -4, 4)
        out: Floats = 1 / (1 + np.exp(-(np.tanh(figures @ w1 + b1) @ w2 + b2)))
        return out


@dataclass(frozen=True, slots=True)
class SpeechMusicRules:
    """When a probability is an event; times in seconds, in steps of half a second."""

    on: float = 0.6
    off: float = 0.4
    min_on: float = 1.0
    min_off: float = 1.0


class SpeechMusicStream:
    """One stream, 16 kHz mono: frames in, starts and ends of ``speech`` and ``music`` out.

    Each look counts for the half second in the middle of its two seconds, so an event is known
    some two seconds after it began. NaN and infinite samples count as 0. After a gap everything
    begins anew and what lasted ends where the sound ended.
    """

    def __init__(self, model: SpeechMusicModel, rules: SpeechMusicRules | None = None) -> None:
        self._model, self._rules = model, rules or SpeechMusicRules()
        self.last: Mapping[str, float] = dict.fromkeys(LABELS, 0.0)
        """The newest probabilities."""
        self._begin(0)

    def _begin(self, position: int) -> None:
        r = self._rules
        self._features = FeatureStream()
        self._rows = np.empty((0, NUM_MEL), np.float32)
        self._first = self._end = position
        self._looks = 0
        self._told = position / SAMPLE_RATE
        self._states = {label: Hysteresis(r.on, r.off, r.min_on, r.min_off) for label in LABELS}

    def push(self, frame: AudioFrame) -> list[AudioEvent]:
        """Take a frame; what began or ended by it."""
        events: list[AudioEvent] = []
        if frame.start != self._end:
            events = self.finish()
            self._begin(frame.start)
        self._end = frame.end
        events += self._look(self._features.accept(clean(frame.samples[:, 0])[0]))
        return events

    def finish(self) -> list[AudioEvent]:
        """The stream ends: the last look counts up to there."""
        end = self._end / SAMPLE_RATE
        events = self._look(self._features.flush())
        if self._looks and end > self._told:
            events += self._tell(end)
        for label, state in self._states.items():
            began, peak = state.began, state.peak
            change = state.close(end)
            if change is not None:
                events.append(AudioEvent("speech_music", label, "end", began, change[1], peak))
        return events

    def _look(self, rows: NDArray[np.float32]) -> list[AudioEvent]:
        events: list[AudioEvent] = []
        self._rows = np.concatenate([self._rows, np.maximum(rows, LOG_FLOOR)])
        while len(self._rows) >= WINDOW:
            found = self._model.probabilities(self._rows[:WINDOW])
            self.last = dict(zip(LABELS, found.tolist(), strict=True))
            self._rows = self._rows[HOP:]
            until = self._looks * HOP + (WINDOW + HOP) // 2
            self._looks += 1
            events += self._tell((self._first + until * FRAME_SHIFT) / SAMPLE_RATE)
        return events

    def _tell(self, end: float) -> list[AudioEvent]:
        """The newest probabilities hold up to ``end`` (s)."""
        events = []
        for label, state in self._states.items():
            began, peak = state.began, state.peak
            change = state.push(self.last[label], self._told, end)
            if change is None:
                continue
            name, when = change
            if name == "start":
                events.append(
                    AudioEvent("speech_music", label, "start", when, None, state.peak)
                )
            else:
                events.append(AudioEvent("speech_music", label, "end", began, when, peak))
        self._told = end
        return events
