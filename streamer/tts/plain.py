"""What of a written text can be read aloud.

Markup loses its signs, links keep their words, addresses are said in words, emoji and code
blocks are left out. Numbers, dates, currency and units are the voice's business.
"""

from __future__ import annotations

import re
import unicodedata

__all__ = ["PlainText"]

_LINK = re.compile(r"!?\[([^\]]*)\]\([^)\s]*\)")
_ADDRESS = re.compile(r"\b(?:https?://|www\.)([^\s/?#]+)(?:[/?#]\S*[^\s.,;:!?)])?", re.IGNORECASE)
_MAIL = re.compile(r"\b([\w.+-]+)@([\w-]+(?:\.[\w-]+)+)\b")
_TAG = re.compile(r"</?[a-zA-Z][^<>\n]{0,80}>")
_PRICE = re.compile(r"(?<![€£$\d.,])(\d+(?:[.,]\d+)*)\s?([€£])(?!\s?\d)")
_MINUS = re.compile(r"(?<![\w.)\]])[-−](?=[$€£]?\d)")
_ENDLESS = re.compile(r"\d[\d,]{17,}")
_RUN_ON = re.compile(r"(\S{40})(?=\S{10})")
"""The time a voice takes for one word grows with the square of its length."""
_NUMBER = re.compile(r"(?<!\S)#(?=\d)")
_JOINED = re.compile(r"(?<=[^\W_])_(?=[^\W_])")
_SIGNS = re.compile(
    r"(?:[*_`~|]|(?<!\w)#)+(?=\S)|(?<=\S)[*_`~|]+|^\s*(?:[-*+•>]|#+)\s+", re.MULTILINE
)
_SPOKEN = re.compile(r"[A-Za-z0-9]")


class PlainText:
    """Keeps in mind, from clause to clause, whether a code block is open."""

    def __init__(self) -> None:
        self._code = False

    def __call__(self, clause: str) -> str:
        """The words to read; empty when there are none in the Latin script."""
        parts = clause.split("```")
        kept = []
        for i, part in enumerate(parts):
            if i:
                self._code = not self._code
            if not self._code:
                kept.append(part)
        text = " ".join(kept)
        text = _LINK.sub(r"\1", text)
        text = _TAG.sub(" ", text)
        text = _MAIL.sub(lambda m: f"{_dotted(m[1])} at {_dotted(m[2])}", text)
        text = _ADDRESS.sub(lambda m: _dotted(m[1].removeprefix("www.")), text)
        text = _ENDLESS.sub(lambda m: " ".join(m[0].replace(",", "")), text)
        text = _NUMBER.sub("number ", text)
        text = _SIGNS.sub("", _JOINED.sub(" ", text))
        text = _MINUS.sub("minus ", _PRICE.sub(r"\2\1", text))
        text = "".join(c if _readable(c) else " " for c in text)
        text = _RUN_ON.sub(r"\1 ", text)
        text = " ".join(text.split())
        return text if _SPOKEN.search(text) else ""


def _dotted(name: str) -> str:
    return name.replace(".", " dot ").replace("-", " ").replace("_", " ")


def _readable(c: str) -> bool:
    """Latin letters, digits, and the punctuation and signs that voices know."""
    if c.isascii():
        return c.isprintable()
    if c in "‘’“”–—…€£¥°½¼¾×÷²³µ":
        return True
    return unicodedata.category(c)[0] == "L" and "LATIN" in unicodedata.name(c, "")
