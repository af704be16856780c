"""What has been played of an answer, to the sample and to the word."""

from __future__ import annotations

from streamer.packets import Samples, SpokenAudio, Word

__all__ = ["Playback"]


class Playback:
    """Counts what leaves a sink. A word is heard when its last sample has been played."""

    def __init__(self, turn: int, rate: int) -> None:
        self.turn, self.rate = turn, rate
        self.played = 0
        """Samples."""
        self.ended = False
        self._words: list[Word] = []
        self._heard = 0

    @property
    def seconds(self) -> float:
        """Seconds of sound played."""
        return self.played / self.rate

    @property
    def text(self) -> str:
        """The words played to their end."""
        return " ".join(word.text for word in self._words[: self._heard])

    def add(self, audio: SpokenAudio) -> None:
        """This comes next."""
        self._words.extend(audio.words)
        self.ended = self.ended or audio.last

    def advance(self, samples: Samples) -> bool:
        """``samples`` have been played; True if another word has been heard."""
        self.played += samples.shape[0]
        before = self._heard
        while self._heard < len(self._words):
            # the last word may end a little beyond the last sample
            if self._words[self._heard].end > self.seconds + 1e-6:
                break
            self._heard += 1
        return self._heard > before

    def finish(self) -> None:
        """Everything has been played."""
        self._heard = len(self._words)
