"""Word and character error rates with bootstrap intervals; see docs/evaluation.md.

A hypothesis may be one long text for many utterances: errors are attributed to utterances through
the alignment with the joined references, so that streams that run on can be scored like single
utterances.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import jiwer
import numpy as np

from tools.asr_train.text import normalise

__all__ = ["Rate", "error_rate", "errors_by_utterance", "unstable_words"]


@dataclass(frozen=True, slots=True)
class Rate:
    """Errors per 100 reference units with a 95 % bootstrap interval over utterances."""

    rate: float
    low: float
    high: float
    errors: int
    units: int

    def __str__(self) -> str:
        return f"{self.rate:.1f} [{self.low:.1f}, {self.high:.1f}]"


def errors_by_utterance(
    references: Sequence[str], hypothesis: str, *, characters: bool = False
) -> list[tuple[int, int]]:
    """For each reference its errors and its number of units (words or characters).

    ``hypothesis`` is what was recognised of all of them, in order. Texts are normalised here.
    """
    texts = [normalise(text) for text in references]
    space = " " if characters else None
    units = [len(t) + 1 if characters else len(t.split(space)) for t in texts]
    owner = np.repeat(np.arange(len(texts)), units)
    process = jiwer.process_characters if characters else jiwer.process_words
    joined = " ".join(texts) + (" " if characters else "")
    # A hypothesis needs at least one unit that no reference has.
    found = process(joined, normalise(hypothesis) + (" " if characters else "") or "<nothing>")
    errors = np.zeros(len(texts), int)
    for chunk in found.alignments[0]:
        if chunk.type == "equal":
            continue
        if chunk.type == "insert":
            at = min(chunk.ref_start_idx, len(owner) - 1)
            errors[owner[at]] += chunk.hyp_end_idx - chunk.hyp_start_idx
        else:
            for index in range(chunk.ref_start_idx, chunk.ref_end_idx):
                errors[owner[index]] += 1
    return list(zip(errors.tolist(), units, strict=True))


def error_rate(counts: Sequence[tuple[int, int]], draws: int = 2000) -> Rate:
    """The rate over utterances given as (errors, units)."""
    table = np.asarray(counts, float)
    pick = np.random.default_rng(0).integers(0, len(table), (draws, len(table)))
    errors, units = table[pick].sum(axis=1).T
    low, high = np.percentile(100 * errors / units, [2.5, 97.5])
    errors, units = table.sum(axis=0)
    return Rate(100 * errors / units, float(low), float(high), int(errors), int(units))


def unstable_words(revisions: Sequence[str]) -> int:
    """Words shown in a revision of one segment and not kept, in place, by the next."""
    changed = 0
    for before, after in zip(revisions, revisions[1:], strict=False):
        old, new = normalise(before).split(), normalise(after).split()
        kept = 0
        while kept < min(len(old), len(new)) and old[kept] == new[kept]:
            kept += 1
        changed += len(old) - kept
    return changed
