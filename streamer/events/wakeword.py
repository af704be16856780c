"""Trained wake words: openWakeWord models, run by the package pyopen-wakeword.

A model looks at the last two seconds of speech embeddings every 80 ms. The models that the package
brings (alexa, hey_jarvis, hey_mycroft, hey_rhasspy, okay_nabu) are under CC BY-NC-SA 4.0.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from streamer.audio.samples import clean
from streamer.errors import ModelError
from streamer.events.hysteresis import Hysteresis
from streamer.packets import AudioEvent, AudioFrame, Samples

__all__ = ["WakeWords"]

RATE = 16000
BLOCK = 1280
"""Samples for which there is one probability."""
SPOKEN = 0.8
"""Seconds a wake word takes, about: the models tell only when it is over."""


class WakeWords:
    """One stream. ``models`` maps names of the package, or .tflite files, to thresholds.

    Not cheap (a millisecond or two for 80 ms), so call ``push`` on a thread; one at a time.
    Raises ``events.wake.missing`` without the package, ``events.wake.model`` for unknown models.
    """

    def __init__(self, models: Mapping[str, float]) -> None:
        try:
            from pyopen_wakeword import Model, OpenWakeWord, OpenWakeWordFeatures
        except (ImportError, OSError) as error:
            raise ModelError(
                "Wake word models need the package pyopen-wakeword.",
                code="events.wake.missing",
                hint="pip install 'streamer[wakeword]'; or type the phrase into events.keywords.",
            ) from error
        known = {model.value: model for model in Model}
        self._open = OpenWakeWordFeatures.from_builtin
        self._words = []
        for name, threshold in models.items():
            if name in known:
                made = OpenWakeWord.from_builtin(known[name])
            elif Path(name).suffix == ".tflite" and Path(name).is_file():
                made = OpenWakeWord.from_model(name)
            else:
                raise ModelError(
                    f"There is no wake word model {name!r}.",
                    code="events.wake.model",
                    hint=f"Name a .tflite file, or one of {', '.join(sorted(known))}.",
                )
            label = Path(name).stem.replace("_", " ")
            self._words.append((label, made, Hysteresis(threshold, threshold / 2)))
        self._begin(0)

    def _begin(self, position: int) -> None:
        self._features = self._open()
        for _, word, state in self._words:
            word.reset()
            state.close(0.0)
        self._held: Samples = np.zeros(0, np.float32)
        self._position = position

    def push(self, frame: AudioFrame) -> list[AudioEvent]:
        """Take a frame (16 kHz mono); NaN counts as 0, after a gap everything begins anew."""
        if frame.start != self._position + len(self._held):
            self._begin(frame.start)
        held = np.concatenate([self._held, clean(frame.samples[:, 0])[0]])
        events = []
        while len(held) >= BLOCK:
            block, held = held[:BLOCK], held[BLOCK:]
            events += self._block((np.clip(block, -1, 1) * 32767).astype("<i2").tobytes())
        self._held = held
        return events

    def _block(self, audio: bytes) -> list[AudioEvent]:
        begin = self._position / RATE
        self._position += BLOCK
        end = self._position / RATE
        events = []
        for features in self._features.process_streaming(audio):
            for label, word, state in self._words:
                for probability in word.process_streaming(features):
                    change = state.push(probability, begin, end)
                    if change is not None and change.state == "start":
                        start = max(0.0, end - SPOKEN)
                        events.append(
                            AudioEvent("wake_word", label, "instant", start, end, probability)
                        )
        return events

    def close(self) -> None:
        """Release the models."""
        for _, word, _ in self._words:
            word.close()
        self._words = []
