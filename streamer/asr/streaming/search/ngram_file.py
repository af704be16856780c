"""Back-off n-gram models over the recogniser's tokens: ARPA, and a packed form of the same.

The packed form (``.npz``) loads fifty times faster and takes a third of the room: per order the
sorted n-grams as whole numbers (differences of neighbours), probabilities and back-offs as
log10 in steps of 1/64. ``tools/train_lm.py`` writes both.
"""

from __future__ import annotations

import gzip
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streamer.errors import ModelError

__all__ = ["Level", "read_model", "write_packed"]

Ints = NDArray[np.int64]
_STEP = 64.0
_LOWEST = 255 * 256 // int(_STEP)


@dataclass(frozen=True, slots=True)
class Level:
    """All n-grams of one order, sorted.

    ``keys`` ``[n]``: the tokens as digits in base ``len(tokens) + 2``; the two digits above the
    tokens are the beginning and the end of a sentence. ``logp`` and ``backoff`` ``[n]``: log10.
    """

    keys: Ints
    logp: NDArray[np.float32]
    backoff: NDArray[np.float32]


def read_model(path: Path, tokens: Sequence[str], blank: int) -> list[Level]:
    """The orders of a model, unigrams first; n-grams with unknown tokens are left out.

    Raises :class:`ModelError` (``asr.lm.bad``) for a file that is neither form, is of other
    tokens, or is of too high an order for so many tokens (64-bit keys: 7 up to 515 tokens).
    """
    try:
        levels = (
            _read_packed(path, tokens)
            if path.suffix == ".npz"
            else _from_arpa(path, tokens, blank)
        )
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise _bad(path, str(error)) from None
    if not levels or not (levels[0].keys < len(tokens)).any():
        raise _bad(path, "it holds none of the model's tokens")
    return levels


def write_packed(path: Path, levels: Sequence[Level], tokens: Sequence[str]) -> None:
    """Write the ``.npz`` form; ``tokens`` are those the keys' digits count."""
    parts: dict[str, NDArray[np.generic]] = {"tokens": np.array(list(tokens))}
    for n, level in enumerate(levels, 1):
        # bytes of like significance lie together: the high ones are mostly zero
        steps = np.diff(level.keys, prepend=0).astype("<i8")
        parts[f"keys{n}"] = steps.view(np.uint8).reshape(-1, 8).T.copy()
        for name in ("logp", "backoff"):
            values = getattr(level, name).clip(-_LOWEST, _LOWEST)
            parts[f"{name}{n}"] = np.rint(values * _STEP).astype(np.int16)
    with path.open("wb") as file:
        np.savez_compressed(file, **parts)  # type: ignore[arg-type]


def _read_packed(path: Path, tokens: Sequence[str]) -> list[Level]:
    levels = []
    with np.load(path, allow_pickle=False) as parts:
        if parts["tokens"].tolist() != list(tokens):
            raise ValueError("it was made for other tokens")
        for n in range(1, 1 + sum(name.startswith("keys") for name in parts.files)):
            steps = np.ascontiguousarray(parts[f"keys{n}"].T).view("<i8")
            logp, backoff = (
                parts[f"{name}{n}"].astype(np.float32) / np.float32(_STEP)
                for name in ("logp", "backoff")
            )
            levels.append(Level(np.cumsum(steps[:, 0], dtype=np.int64), logp, backoff))
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
