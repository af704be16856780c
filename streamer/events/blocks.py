"""Frames of any length to blocks of one length, so that results do not depend on the chunking."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from streamer.packets import Samples

__all__ = ["Blocks"]


class Blocks:
    """Cuts a stream into blocks of ``size`` samples, one every ``hop`` samples.

    It holds at most one block. ``position`` is the index of the first sample of the next block.
    """

    def __init__(self, size: int, hop: int, channels: int, position: int = 0) -> None:
        self._size, self._hop = size, hop
        self._held = np.zeros((size, channels), np.float32)
        self._count = 0
        self.position = position

    @property
    def end(self) -> int:
        """Index of the next sample that is expected."""
        return self.position + self._count

    def push(self, samples: Samples) -> Iterator[tuple[int, Samples]]:
        """Take ``[n, channels]``; (position, ``[size, channels]``) of each block that is full.

        A block is only valid until the next one is asked for. Exhaust the iterator.
        """
        taken = 0
        while taken < len(samples):
            piece = samples[taken : taken + self._size - self._count]
            self._held[self._count : self._count + len(piece)] = piece
            self._count += len(piece)
            taken += len(piece)
            if self._count == self._size:
                yield self.position, self._held
                keep = self._size - self._hop
                self._held[:keep] = self._held[self._hop :].copy()
                self._count = keep
                self.position += self._hop

    def rest(self) -> Samples:
        """What is held and has not filled a block, ``[n, channels]``; it stays."""
        return self._held[: self._count]
