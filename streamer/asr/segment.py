"""One stretch of speech on its way from first partial to final."""

from __future__ import annotations

from dataclasses import dataclass, field

from streamer.asr.agreement import LocalAgreement
from streamer.asr.moonshine import RATE, Decoded, Moonshine
from streamer.packets import Samples, Transcript, Word

__all__ = ["Segment"]


@dataclass
class Segment:
    """``begin`` is the index of its first sample; ``end`` is set once it has ended.

    ``voice_end`` is where the voice itself stopped, as far as known: a hypothesis on audio that
    reaches well beyond it needs no further decoding.
    """

    model: Moonshine
    index: int
    begin: int
    agreement: int = RATE
    """Samples over which hypotheses must agree before words are stable."""
    end: int | None = None
    voice_end: int | None = None
    decoded_to: int = 0
    """Index up to which the newest hypothesis has heard."""
    revision: int = -1
    _hypothesis: Decoded = field(default_factory=lambda: Decoded((), ()))

    def __post_init__(self) -> None:
        self._shown: tuple[tuple[int, ...], tuple[int, ...]] = ((), ())
        self._agreement = LocalAgreement(self.model.tokenizer.starts_word, self.agreement)

    def decode(self, samples: Samples) -> Decoded:
        """Recognise the segment's audio so far; blocking, call on a worker thread."""
        stable = self._agreement.stable
        return self.model.decode(
            samples, forced=stable, draft=self._hypothesis.tokens[len(stable) :]
        )

    def partial(self, decoded: Decoded, heard_to: int) -> Transcript | None:
        """The next partial, or None if nothing has changed.

        The newest word is held back unless it is the only one: half heard, it is mostly wrong.
        """
        self.decoded_to = heard_to
        self._hypothesis = decoded
        stable = self._agreement.update(decoded.tokens, heard_to)
        keep = self._before_last_word(decoded.tokens)
        keep = max(keep, len(stable)) or len(decoded.tokens)
        shown = Decoded(decoded.tokens[:keep], decoded.probabilities[:keep])
        if not shown.tokens or (shown.tokens, stable) == self._shown:
            return None
        self._shown = (shown.tokens, stable)
        return self._transcript(shown, heard_to, len(self.model.tokenizer.decode(stable)))

    def _before_last_word(self, tokens: tuple[int, ...]) -> int:
        """The index at which the last word begins."""
        starts = self.model.tokenizer.starts_word
        return next((i for i in range(len(tokens) - 1, 0, -1) if starts(tokens[i])), 0)

    def final(self, decoded: Decoded | None = None) -> Transcript:
        """The last word on this segment; without ``decoded`` the newest hypothesis stands."""
        assert self.end is not None
        if decoded is not None:
            self._hypothesis = decoded
        return self._transcript(self._hypothesis, self.end, None)

    def heard_enough(self, margin: int) -> bool:
        """Whether the newest hypothesis has heard ``margin`` samples beyond the voice."""
        return self.voice_end is not None and self.decoded_to >= self.voice_end + margin

    def _transcript(self, decoded: Decoded, end: int, stable_len: int | None) -> Transcript:
        text = self.model.tokenizer.decode(decoded.tokens)
        self.revision += 1
        stop = end if stable_len is not None or self.voice_end is None else self.voice_end
        return Transcript(
            text=text,
            start=self.begin / RATE,
            end=end / RATE,
            segment=self.index,
            revision=self.revision,
            stable_len=len(text) if stable_len is None else stable_len,
            final=stable_len is None,
            words=self._words(decoded, stop / RATE),
            language="en",
        )

    def _words(self, decoded: Decoded, stop: float) -> tuple[Word, ...]:
        """Words with the lowest probability of their tokens as confidence.

        The decoder gives no alignment: times are estimated, spread over the segment by length.
        """
        tokenizer = self.model.tokenizer
        groups: list[tuple[list[int], float]] = []
        for token, probability in zip(decoded.tokens, decoded.probabilities, strict=True):
            if not groups or tokenizer.starts_word(token):
                groups.append(([token], probability))
            else:
                tokens, lowest = groups[-1]
                groups[-1] = ([*tokens, token], min(lowest, probability))
        texts = [(tokenizer.decode(tokens), p) for tokens, p in groups]
        texts = [(text, p) for text, p in texts if text]
        total = sum(len(text) + 1 for text, _ in texts) or 1
        begin, words = self.begin / RATE, []
        span, seen = max(0.0, stop - begin), 0
        for text, probability in texts:
            left = begin + span * seen / total
            seen += len(text) + 1
            words.append(Word(text, left, begin + span * seen / total, probability))
        return tuple(words)
