"""States of many sessions in one pool: gather who has a chunk ready, scatter back.

Every state tensor of the model is allocated once for all slots. A :class:`Lease` names a slot
and the life it is in; resetting or releasing ends that life, so a batch that is still under
way cannot write into a slot that has since been given to somebody else.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamer.errors import ModelError

__all__ = ["Lease", "LeaseTable", "SlotPool", "StateSpec"]


@dataclass(frozen=True, slots=True)
class StateSpec:
    """One state tensor. ``shape`` holds the batch axis, at ``axis``, as 1; all start at zero."""

    name: str
    shape: tuple[int, ...]
    axis: int = 0
    dtype: str = "float32"


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to use slot ``index`` during its life number ``life``."""

    index: int
    life: int


class LeaseTable:
    """Which slots are taken, and in which life each one is. Safe to use from any thread."""

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self.lock = threading.Lock()
        self._free = list(range(slots - 1, -1, -1))
        self._lives = [0] * slots
        self._fresh = [True] * slots

    @property
    def free(self) -> int:
        """Slots that nobody uses."""
        return len(self._free)

    def acquire(self) -> Lease:
        """Take a free slot in its initial state, or fail with ``asr.no-slot``."""
        with self.lock:
            if not self._free:
                raise ModelError(
                    f"all {self.slots} recogniser slots are in use",
                    code="asr.no-slot",
                    hint="Close a session, or give the recogniser more `slots`.",
                )
            return self._begin(self._free.pop())

    def reset(self, lease: Lease) -> Lease:
        """Back to the initial state; the old lease is void from here on."""
        with self.lock:
            return self._begin(lease.index) if self.current(lease) else lease

    def release(self, lease: Lease) -> None:
        """Give the slot back. Doing it twice is harmless."""
        with self.lock:
            if self.current(lease):
                self._lives[lease.index] += 1
                self._free.append(lease.index)

    def current(self, lease: Lease) -> bool:
        """Whether the lease still holds (call under ``lock``)."""
        return self._lives[lease.index] == lease.life

    def fresh(self, lease: Lease) -> bool:
        """True the first time it is asked in a life: the state must be zeroed."""
        fresh, self._fresh[lease.index] = self._fresh[lease.index], False
        return fresh

    def _begin(self, index: int) -> Lease:
        self._lives[index] += 1
        self._fresh[index] = True
        return Lease(index, self._lives[index])


class SlotPool(LeaseTable):
    """State tensors of ``slots`` sessions in main memory.

    Threads may ``gather`` and ``scatter`` side by side, as long as no lease is with two of them.
    """

    def __init__(self, specs: Sequence[StateSpec], slots: int) -> None:
        super().__init__(slots)
        self.specs = tuple(specs)
        self._pool = [_batched(spec, slots) for spec in self.specs]
        self._buffers: dict[tuple[int, int], list[NDArray[Any]]] = {}

    @property
    def slot_bytes(self) -> int:
        """Memory that one session's state takes."""
        return sum(array.nbytes for array in self._pool) // self.slots

    def gather(self, leases: Sequence[Lease]) -> list[NDArray[Any]]:
        """State tensors of these sessions as one batch, valid until this thread's next ``gather``.

        A void lease gets whatever its slot holds; its result is dropped by ``scatter``.
        """
        index = np.array([lease.index for lease in leases])
        key = (threading.get_ident(), len(leases))
        buffers = self._buffers.get(key)
        if buffers is None:
            buffers = [_batched(spec, len(leases)) for spec in self.specs]
            self._buffers[key] = buffers
        for lease in leases:
            with self.lock:
                if self.current(lease) and self.fresh(lease):
                    for spec, array in zip(self.specs, self._pool, strict=True):
                        array[_row(spec, lease.index)] = 0
        for spec, array, buffer in zip(self.specs, self._pool, buffers, strict=True):
            np.take(array, index, axis=spec.axis, out=buffer, mode="clip")
        return buffers

    def scatter(self, leases: Sequence[Lease], states: Sequence[NDArray[Any]]) -> None:
        """Store the next states; rows of leases that have become void are left out."""
        for row, lease in enumerate(leases):
            with self.lock:  # a row at a time: sessions that come and go need the lock too
                if self.current(lease):
                    for spec, array, state in zip(self.specs, self._pool, states, strict=True):
                        array[_row(spec, lease.index)] = state[_row(spec, row)]


def _batched(spec: StateSpec, count: int) -> NDArray[Any]:
    shape = list(spec.shape)
    shape[spec.axis] = count
    return np.zeros(shape, spec.dtype)


def _row(spec: StateSpec, index: int) -> tuple[Any, ...]:
    return (*(slice(None),) * spec.axis, index)
