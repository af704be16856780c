"""From feature stores to padded batches, on a background thread."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import sentencepiece as spm
import torch
from numpy.typing import NDArray
from torch import Tensor

from streamer.asr.features import LOG_FLOOR, NUM_MEL
from tools.asr_train.augment import Augmenter
from tools.asr_train.recipe import Stage
from tools.asr_train.store import Store

__all__ = ["Batch", "Prefetcher", "Sampler", "pad_batch"]


@dataclass(frozen=True, slots=True)
class Batch:
    """``features [B, R, 80]`` with ``rows [B]``, ``targets [B, U]`` with ``labels [B]``.

    ``teacher [B, 2 T, 832]`` half floats with ``taught [B]`` valid frames (0: no teacher), or None.
    """

    features: Tensor
    rows: Tensor
    targets: Tensor
    labels: Tensor
    seconds: float
    teacher: Tensor | None = None
    taught: Tensor | None = None


def pad_batch(
    features: list[NDArray[np.float32]],
    targets: list[list[int]],
    teachers: list[NDArray[np.float16] | None] | None = None,
) -> Batch:
    """Pad to the longest; rows are rounded up to ``8 n + 7`` so that no frame is lost."""
    rows = [len(f) for f in features]
    longest = -(-(max(rows) - 7) // 8) * 8 + 7
    out = np.full((len(rows), longest, NUM_MEL), LOG_FLOOR, np.float32)
    for i, f in enumerate(features):
        out[i, : len(f)] = f
    width = max(len(t) for t in targets)
    ids = np.zeros((len(rows), width), np.int64)
    for i, t in enumerate(targets):
        ids[i, : len(t)] = t
    teacher = taught = None
    if teachers is not None and any(t is not None for t in teachers):
        frames = (longest - 7) // 8 * 2
        wide = next(t.shape[1] for t in teachers if t is not None)
        held = np.zeros((len(rows), frames, wide), np.float16)
        taught = torch.zeros(len(rows), dtype=torch.int64)
        for i, t in enumerate(teachers):
            if t is not None:
                held[i, : len(t)] = t[:frames]
                taught[i] = min(len(t), frames)
        teacher = torch.from_numpy(held)
    return Batch(
        torch.from_numpy(out),
        torch.tensor(rows),
        torch.from_numpy(ids),
        torch.tensor([len(t) for t in targets]),
        sum(rows) / 100,
        teacher,
        taught,
    )


class Sampler:
    """Endless batches for one stage of the curriculum.

    Utterances are drawn by the stage's source weights (without putting back, source by
    source), grouped by length in pools, and cut into batches of about equal seconds.
    """

    def __init__(
        self, stores: Path, tokenizer: Path, stage: Stage, noise: tuple[str, ...], seed: int
    ) -> None:
        self._stage = stage
        self._rng = np.random.default_rng(seed)
        self._tokenizer = spm.SentencePieceProcessor(model_file=str(tokenizer))
        self._stores = [Store.open(stores / name) for name in stage.sources]
        self._noises = [Store.open(stores / n) for n in noise if (stores / n).exists()]
        self._augment = Augmenter(self._background if self._noises else None)
        self._usable = [self._filter(s) for s in self._stores]
        self._left: list[list[int]] = [[] for _ in self._stores]
        weights = np.asarray([stage.sources[s.name] for s in self._stores], np.float64)
        weights *= [len(u) > 0 for u in self._usable]
        self._weights = weights / weights.sum()

    @property
    def hours(self) -> float:
        """Hours of audio that the stage may use."""
        pairs = zip(self._stores, self._usable, strict=True)
        return sum(float(s.rows[u].sum()) for s, u in pairs) / 360_000

    def _filter(self, store: Store) -> NDArray[np.int64]:
        keep = (store.rows >= 50) & (store.rows <= self._stage.max_seconds * 100)
        letters = np.asarray([len(t) for t in store.texts])
        keep &= (letters > 0) & (letters < store.rows / 100 * 28)
        return np.flatnonzero(keep)

    def _background(self, rng: np.random.Generator, count: int) -> NDArray[np.float32]:
        store = self._noises[int(rng.integers(len(self._noises)))]
        x = store.features(int(rng.integers(len(store))))
        begin = int(rng.integers(len(x)))
        return x[(begin + np.arange(count)) % len(x)]

    def _next(self, source: int) -> int:
        if not self._left[source]:
            self._left[source] = list(self._rng.permutation(self._usable[source]))
        return int(self._left[source].pop())

    def __iter__(self) -> Iterator[Batch]:
        stage, rng = self._stage, self._rng
        while True:
            pool: list[tuple[float, int, int]] = []
            seconds = 0.0
            while seconds < stage.batch_seconds * 24:
                source = int(rng.choice(len(self._stores), p=self._weights))
                item = self._next(source)
                length = float(self._stores[source].rows[item]) / 100
                pool.append((length * rng.uniform(0.9, 1.1), source, item))
                seconds += length
            pool.sort()
            groups: list[list[tuple[int, int]]] = [[]]
            filled = 0.0
            for length, source, item in pool:
                if groups[-1] and filled + length > stage.batch_seconds:
                    groups.append([])
                    filled = 0.0
                groups[-1].append((source, item))
                filled += length
            for g in rng.permutation(len(groups)):
                yield self._batch(groups[int(g)])

    def _batch(self, group: list[tuple[int, int]]) -> Batch:
        features, targets, teachers = [], [], []
        for source, item in group:
            store = self._stores[source]
            x = self._augment(store.features(item), self._stage.augment, self._rng)
            taught = store.targets(item) if self._stage.teacher_weight > 0 else None
            if taught is not None and self._augment.moved:
                taught = None
            ids = list(self._tokenizer.encode(store.texts[item]))
            if ids and (len(x) - 7) // 8 > len(ids):
                features.append(x)
                targets.append(ids)
                teachers.append(taught)
        if not features:
            features, targets, teachers = [np.zeros((64, NUM_MEL), np.float32)], [[1]], [None]
        return pad_batch(features, targets, teachers)


class Prefetcher:
    """Keeps a few batches ready on a daemon thread; an error there is raised here."""

    def __init__(self, batches: Iterator[Batch], depth: int = 6) -> None:
        self._queue: queue.Queue[Batch | BaseException] = queue.Queue(depth)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, args=(batches,), daemon=True)
        self._thread.start()

    def _work(self, batches: Iterator[Batch]) -> None:
        try:
            for batch in batches:
                while not self._stop.is_set():
                    try:
                        self._queue.put(batch, timeout=0.5)
                        break
                    except queue.Full:
                        continue
                if self._stop.is_set():
                    return
        except BaseException as error:  # handed to the training thread
            self._queue.put(error)

    def __next__(self) -> Batch:
        item = self._queue.get()
        if isinstance(item, BaseException):
            raise item
        return item

    def close(self) -> None:
        """Stop the thread; it ends within a second."""
        self._stop.set()
