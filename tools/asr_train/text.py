"""Text of transcripts: one normal form for training, scoring and the language model."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

__all__ = ["is_clean", "normalise"]

_TITLES: Final = {"mr": "mister", "mrs": "missus", "dr": "doctor", "st": "saint"}
_DROP: Final = re.compile(r"[^a-z' ]+")
_SPACES: Final = re.compile(r"\s+")


def normalise(text: str) -> str:
    """Lower-case a-z, apostrophes inside words, single spaces; titles spelled out.

    Digits are dropped: say them in words before, or leave such sentences out (:func:`is_clean`).
    """
    text = re.sub(r"[\u2018\u2019]", "'", text.lower())
    text = re.sub(r"[-\u2010-\u2015/]+", " ", text)
    text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    text = _SPACES.sub(" ", _DROP.sub(" ", text)).strip()
    words = [w.strip("'") if w.strip("'") else "" for w in text.split(" ")]
    return " ".join(_TITLES.get(w, w) for w in words if w)


def is_clean(text: str) -> bool:
    """True when a synthesiser will say exactly the words that :func:`normalise` gives."""
    return bool(text.strip()) and not re.search(
        r"[0-9&$%@#*_+=<>\[\]{}|\\~^]|[A-Z]{2,}|\.[A-Za-z]", text
    )
