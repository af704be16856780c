"""Back-off n-gram models over the recogniser's tokens: ARPA, and a packed form of the same.

The packed form (``.npz``) loads fifty times faster and takes a fifth of the room: per order how
many n-grams each shorter one begins and their last tokens, probabilities and back-offs as log10
in steps of 1/16. ``tools/train_lm.py`` writes both.
"""

from __future__ import annotations

import gzip
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamer.errors import ModelError

__all__ = ["Level", "read_model", "write_packed"]

Ints = NDArray[np.int64]
_STEP = 16.0
_LOWEST = 2047


@dataclass(frozen=True, slots=True)
class Level:
    """All n-grams of one order, sorted.

    ``keys`` ``[n]``: the tokens as digits in base ``len(tokens) + 2``; the two digits above the
    tokens are the beginning and the end of a sentence. ``logp`` and ``backoff`` ``[n]``: log10,
    of a packed model in half precision, since it may be large.
    """

    keys: Ints
    logp: NDArray[np.floating[Any]]
    backoff: NDArray[np.floating[Any]]


def read_model(path: Path, tokens: Sequence[str], blank: int) -> list[Level]:
    """The orders of a model, unigrams first; n-grams with unknown tokens are left out.

    Raises :class:`ModelError` (``asr.lm.bad``) for a file that is neither form, is of other
    tokens, or is of too high an order for so many tokens (64-bit keys: 7 up to 515 tokens).
    """
    try:
        levels = (
            _read_packed(path, tokens) if path.suffix == ".npz" else _from_arpa(path, tokens, blank)
        )
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise _bad(path, str(error)) from None
    if not levels or not (levels[0].keys < len(tokens)).any():
        raise _bad(path, "it holds none of the model's tokens")
    return levels


def write_packed(path: Path, levels: Sequence[Level], tokens: Sequence[str]) -> None:
    """Write the ``.npz`` form; ``tokens`` are those the keys' digits count.

    Every n-gram less its last token must be among those one shorter, else ``ValueError``.
    """
    base = len(tokens) + 2
    parts: dict[str, NDArray[np.generic]] = {"tokens": np.array(list(tokens))}
    shorter = np.zeros(1, np.int64)
    for n, level in enumerate(levels, 1):
        begins, last = np.divmod(level.keys, base)
        places = np.searchsorted(shorter, begins).clip(max=len(shorter) - 1)
        if (shorter[places] != begins).any():
            raise ValueError(f"a {n}-gram begins with tokens that are no {n - 1}-gram")
        parts[f"follow{n}"] = _bytes_apart(np.bincount(places, minlength=len(shorter)))
        parts[f"last{n}"] = _bytes_apart(last)
        for name in ("logp", "backoff"):
            values = getattr(level, name).astype(np.float32).clip(-_LOWEST, _LOWEST)
            parts[f"{name}{n}"] = _bytes_apart(np.rint(values * _STEP))
        shorter = level.keys
    with path.open("wb") as file:
        np.savez_compressed(file, **parts)  # type: ignore[arg-type]


def _bytes_apart(values: NDArray[Any]) -> NDArray[np.uint8]:
    """16-bit numbers as ``[2, n]`` low and high bytes: the high ones are mostly the same."""
    return values.astype("<i2").view(np.uint8).reshape(-1, 2).T.copy()


def _together(parts: NDArray[np.uint8]) -> NDArray[np.int16]:
    return np.ascontiguousarray(parts.T).view("<i2")[:, 0]


def _read_packed(path: Path, tokens: Sequence[str]) -> list[Level]:
    levels = []
    with path.open("rb") as file, np.load(file, allow_pickle=False) as parts:
        if parts["tokens"].tolist() != list(tokens):
            raise ValueError("it was made for other tokens")
        keys = np.zeros(1, np.int64)
        for n in range(1, 1 + sum(name.startswith("last") for name in parts.files)):
            last = _together(parts[f"last{n}"])
            keys = np.repeat(keys * (len(tokens) + 2), _together(parts[f"follow{n}"])) + last
            logp, backoff = (
                (_together(parts[f"{name}{n}"]) / np.float32(_STEP)).astype(np.float16)
                for name in ("logp", "backoff")
            )
            levels.append(Level(keys, logp, backoff))
    return levels


def _from_arpa(path: Path, tokens: Sequence[str], blank: int) -> list[Level]:
    base = len(tokens) + 2
    ids = {token: i for i, token in enumerate(tokens) if i != blank}
    ids |= {"<s>": len(tokens), "</s>": len(tokens) + 1}
    found: list[list[tuple[int, float, float]]] = []
    for words, logp, backoff in _read_arpa(path):
        while len(found) < len(words):
            found.append([])
        digits = [ids.get(word, -1) for word in words]
        if -1 in digits:
            continue
        key = 0
        for digit in digits:
            key = key * base + digit
        found[len(words) - 1].append((key, logp, backoff))
    if base ** len(found) >= 2**63:
        raise ValueError(f"order {len(found)} is too high for {len(tokens)} tokens")
    levels = []
    for grams in found:
        grams.sort()
        keys, logps, backoffs = zip(*grams, strict=True) if grams else ((), (), ())
        levels.append(
            Level(
                np.array(keys, np.int64),
                np.array(logps, np.float32),
                np.array(backoffs, np.float32),
            )
        )
    return levels


def _read_arpa(path: Path) -> Iterator[tuple[list[str], float, float]]:
    """Entries of an ARPA file (``.gz`` or plain): words, log10 probability, log10 back-off."""
    opener = gzip.open if path.suffix == ".gz" else open
    order = 0
    ended = False
    with opener(path, "rt", encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            line = line.strip("\n")
            if line.startswith("\\"):
                ended = line == "\\end\\"
                if line.endswith("-grams:"):
                    order = int(line[1:].split("-")[0])
            elif order and line.strip():
                parts = line.split("\t")
                if len(parts) not in (2, 3):
                    raise ValueError(f"line {number} is not an n-gram: {line!r}")
                words = parts[1].split(" ")
                if len(words) != order:
                    raise ValueError(f"line {number} holds no {order}-gram: {line!r}")
                yield words, float(parts[0]), float(parts[2]) if len(parts) == 3 else 0.0
    if not ended:
        raise ValueError(r"it does not end in \end\ ")


def _bad(path: Path, why: str) -> ModelError:
    return ModelError(
        f"{path} cannot be used as a language model: {why}",
        code="asr.lm.bad",
        hint="Make one for this model with tools/train_lm.py.",
    )
