"""Feature stores: features of a whole corpus in one flat half-precision file.

A store is a folder with ``feats.f16`` (rows of 80 half floats, 10 ms each, 58 MB an hour)
and ``index.tsv`` (utt_id, first row, rows, speaker, text). Features are computed once,
from any manifest; all augmentation happens on them later. A store grows with its manifest:
build it again and only new utterances are added.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from streamer.asr.features import NUM_MEL, SAMPLE_RATE, log_mel
from tools.asr_train.text import normalise

__all__ = ["TEACHER_WIDTH", "Store", "Utterance", "build_store", "read_audio", "read_manifest"]

TEACHER_WIDTH: Final = 832
"""Numbers a teacher frame holds: embedded and last frame of Moonshine base, 416 each."""
COLUMNS: Final = ("utt_id", "start", "rows", "speaker", "text")


@dataclass(frozen=True, slots=True)
class Utterance:
    """One line of a manifest: ``path`` is absolute, ``text`` as the corpus gives it."""

    utt_id: str
    path: Path
    duration: float
    speaker: str
    text: str


def read_manifest(path: Path) -> Iterator[Utterance]:
    """Lines of ``manifest.tsv``; half-written last lines are left out."""
    with path.open(encoding="utf-8", newline="") as source:
        for row in csv.DictReader(source, delimiter="\t", quoting=csv.QUOTE_NONE):
            name = row.get("utt_id") or row.get("clip_id")
            if name is None or (row.get("text") is None and row.get("label") is None):
                continue
            audio = path.parent / row["path"]
            yield Utterance(
                name, audio, float(row["duration_s"]), row.get("speaker", "-"), row.get("text", "")
            )


def read_audio(path: Path) -> NDArray[np.float32]:
    """16 kHz mono samples in [-1, 1]."""
    audio, rate = soundfile.read(path, dtype="float32", always_2d=True)
    mono = audio.mean(axis=1) if audio.shape[1] > 1 else audio[:, 0]
    if rate != SAMPLE_RATE:
        mono = soxr.resample(mono, rate, SAMPLE_RATE)
    return np.ascontiguousarray(mono, np.float32)


@dataclass(frozen=True, slots=True)
class Store:
    """An opened store; ``features(i)`` is ``[rows, 80]`` float32."""

    name: str
    data: NDArray[np.float16]
    ids: tuple[str, ...]
    start: NDArray[np.int64]
    rows: NDArray[np.int64]
    speakers: tuple[str, ...]
    texts: tuple[str, ...]
    teacher: NDArray[np.float16] | None = None
    taught: dict[str, tuple[int, int]] = field(default_factory=dict)

    @classmethod
    def open(cls, folder: Path) -> Store:
        """Map a store read-only."""
        with (folder / "index.tsv").open(encoding="utf-8", newline="") as source:
            table = [
                r for r in csv.reader(source, delimiter="\t", quoting=csv.QUOTE_NONE) if len(r) == 5
            ]
        file = folder / "feats.f16"
        data = np.memmap(
            file, np.float16, "r", shape=(file.stat().st_size // (2 * NUM_MEL), NUM_MEL)
        )
        teacher, taught = _open_teacher(folder)
        return cls(
            folder.name,
            data,
            tuple(r[0] for r in table),
            np.asarray([int(r[1]) for r in table], np.int64),
            np.asarray([int(r[2]) for r in table], np.int64),
            tuple(r[3] for r in table),
            tuple(r[4] for r in table),
            teacher,
            taught,
        )

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def hours(self) -> float:
        """Hours of audio."""
        return float(self.rows.sum()) / 360_000

    def features(self, i: int) -> NDArray[np.float32]:
        """Log-mel frames of utterance ``i``."""
        begin = int(self.start[i])
        return np.asarray(self.data[begin : begin + int(self.rows[i])], np.float32)

    def targets(self, i: int) -> NDArray[np.float16] | None:
        """Teacher frames ``[frames, 832]`` of utterance ``i``, if there are any."""
        place = self.taught.get(self.ids[i])
        if place is None or self.teacher is None:
            return None
        return np.asarray(self.teacher[place[0] : place[0] + place[1]])


def _open_teacher(
    folder: Path,
) -> tuple[NDArray[np.float16] | None, dict[str, tuple[int, int]]]:
    index, file = folder / "teacher.tsv", folder / "teacher.f16"
    if not index.exists():
        return None, {}
    size = file.stat().st_size // (2 * TEACHER_WIDTH)
    taught = {}
    for line in index.read_text(encoding="utf-8").splitlines():
        parts = line.split("\t")
        if len(parts) == 3 and int(parts[1]) + int(parts[2]) <= size:
            taught[parts[0]] = (int(parts[1]), int(parts[2]))
    if not size:
        return None, {}
    return np.memmap(file, np.float16, "r", shape=(size, TEACHER_WIDTH)), taught


def build_store(
    manifest: Path, out: Path, labels: dict[str, str] | None = None, keep_empty: bool = False
) -> int:
    """Add the manifest's new utterances to the store at ``out``; return how many there are.

    ``labels`` (utt_id -> text) stands in where the manifest has no text; utterances that
    have none at all are left out unless ``keep_empty`` (noise recordings).
    """
    out.mkdir(parents=True, exist_ok=True)
    index, feats = out / "index.tsv", out / "feats.f16"
    known: set[str] = set()
    position = 0
    if index.exists():
        with index.open(encoding="utf-8") as source:
            for line in source:
                utt_id, start, rows, *_ = line.split("\t")
                known.add(utt_id)
                position = int(start) + int(rows)
    with feats.open("ab") as data, index.open("a", encoding="utf-8") as table:
        data.truncate(position * NUM_MEL * 2)
        for utt in read_manifest(manifest):
            if utt.utt_id in known:
                continue
            label = utt.text or (labels or {}).get(utt.utt_id, "")
            if any(c.isdigit() for c in label):  # said in words that the label does not give
                continue
            text = normalise(label)
            if not text and not keep_empty:
                continue
            frames = log_mel(read_audio(utt.path))
            data.write(frames.astype(np.float16).tobytes())
            table.write(f"{utt.utt_id}\t{position}\t{len(frames)}\t{utt.speaker}\t{text}\n")
            position += len(frames)
            known.add(utt.utt_id)
    return len(known)
