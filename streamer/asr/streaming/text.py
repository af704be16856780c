"""Tokens to text and timed words."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Final

from streamer.asr.streaming.engine import ModelInfo
from streamer.asr.streaming.search import Hypothesis
from streamer.packets import Word

__all__ = ["Detokeniser"]

_BYTE: Final = re.compile(r"<0x([0-9A-Fa-f]{2})>")


class Detokeniser:
    """Pieces in which ``U+2581`` (or a space) begins a word; ``<0xHH>`` pieces are UTF-8 bytes."""

    def __init__(self, info: ModelInfo) -> None:
        self._frame = info.frame_seconds
        self._pieces = [_piece(token) for token in info.tokens]
        for hidden in (info.blank, *info.silent):
            self._pieces[hidden] = b""

    def begins_word(self, token: int) -> bool:
        """Whether a word starts with this token."""
        return self._pieces[token].startswith(b" ")

    def text(self, tokens: Sequence[int]) -> str:
        """What the tokens spell; a character whose bytes are not all there is left out."""
        joined = b"".join(self._pieces[token] for token in tokens)
        return joined.decode("utf-8", errors="ignore").strip()

    def words(self, hypothesis: Hypothesis, base: float) -> tuple[Word, ...]:
        """Words with times in seconds after ``base`` and confidences.

        A word lasts from the frame of its first token to the end of that of its last. Its
        confidence is the geometric mean of its tokens' posteriors.
        """
        groups: list[list[int]] = []
        for i, token in enumerate(hypothesis.tokens):
            if not groups or self.begins_word(token):
                groups.append([])
            groups[-1].append(i)
        words = []
        for group in groups:
            first, last = group[0], group[-1]
            text = self.text(hypothesis.tokens[first : last + 1])
            if text:
                mean = sum(hypothesis.logps[i] for i in group) / len(group)
                words.append(
                    Word(
                        text,
                        base + hypothesis.frames[first] * self._frame,
                        base + (hypothesis.frames[last] + 1) * self._frame,
                        min(math.exp(mean), 1.0),
                    )
                )
        return tuple(words)


def _piece(token: str) -> bytes:
    byte = _BYTE.fullmatch(token)
    return bytes([int(byte[1], 16)]) if byte else token.replace("\u2581", " ").encode()
