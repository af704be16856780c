"""Reads Moonshine's ``tokenizer.bin``: the pieces of a SentencePiece vocabulary, in order.

Each piece is its length (one byte, or two where the first is 128 or more: low seven bits, then
multiples of 128) followed by that many bytes of UTF-8.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from streamer.errors import ModelError

__all__ = ["PieceTokenizer"]

_BYTE = re.compile(rb"<0x([0-9A-F]{2})>")
_SPACE = "▁".encode()


class PieceTokenizer:
    """Piece numbers to text and, for prefixes, text to piece numbers of a known decoding."""

    def __init__(self, path: Path) -> None:
        self.pieces = _read(path)
        self.special = [piece in (b"<unk>", b"<s>", b"</s>") or not piece for piece in self.pieces]

    def bytes_of(self, token: int) -> bytes:
        """What a token adds to the text; special tokens add nothing."""
        piece = self.pieces[token] if token < len(self.pieces) else b""
        if token >= len(self.pieces) or self.special[token] or piece.startswith(b"<<"):
            return b""
        match = _BYTE.fullmatch(piece)
        return bytes([int(match.group(1), 16)]) if match else piece.replace(_SPACE, b" ")

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of ``tokens``, without the leading space."""
        text = b"".join(self.bytes_of(token) for token in tokens).decode("utf-8", "ignore")
        return text.strip(" ")

    def starts_word(self, token: int) -> bool:
        """Whether a new word begins with this token."""
        return self.bytes_of(token).startswith(b" ")


def _read(path: Path) -> list[bytes]:
    data = path.read_bytes()
    pieces, at = [], 0
    while at < len(data):
        length = data[at]
        at += 1
        if length >= 128:
            if at >= len(data):
                break
            length = data[at] * 128 + length - 128
            at += 1
        if at + length > len(data):
            raise ModelError(
                f"The tokenizer {path} is damaged.",
                code="model.damaged",
                hint="Install the model again.",
            )
        pieces.append(data[at : at + length])
        at += length
    return pieces
