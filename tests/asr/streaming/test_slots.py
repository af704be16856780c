"""The slot pool: isolation of neighbours, void leases, running out."""

from __future__ import annotations

import numpy as np
import pytest

from streamer.asr.streaming import SlotPool, StateSpec
from streamer.errors import ModelError

SPECS = (StateSpec("rows", (1, 3)), StateSpec("wide", (2, 1, 4), axis=1, dtype="int64"))


def fill(pool: SlotPool, leases: list, value: int) -> None:  # type: ignore[type-arg]
    states = pool.gather(leases)
    pool.scatter(leases, [np.full_like(state, value) for state in states])


def test_states_are_gathered_in_the_order_of_the_batch() -> None:
    pool = SlotPool(SPECS, 4)
    leases = [pool.acquire() for _ in range(4)]
    for value, lease in enumerate(leases):
        fill(pool, [lease], value)
    rows, wide = pool.gather([leases[2], leases[0]])
    assert rows.tolist() == [[2] * 3, [0] * 3]
    assert wide[:, 0].tolist() == [[2] * 4] * 2
    assert wide.shape == (2, 2, 4)


def test_reset_touches_no_neighbour() -> None:
    pool = SlotPool(SPECS, 3)
    leases = [pool.acquire() for _ in range(3)]
    fill(pool, leases, 7)
    leases[1] = pool.reset(leases[1])
    rows, _ = pool.gather(leases)
    assert rows[:, 0].tolist() == [7, 0, 7]


def test_a_batch_under_way_cannot_write_into_a_slot_given_to_another() -> None:
    pool = SlotPool(SPECS, 2)
    first, other = pool.acquire(), pool.acquire()
    states = [state.copy() for state in pool.gather([first, other])]
    pool.release(first)
    second = pool.acquire()
    assert second.index == first.index
    pool.scatter([first, other], [state + 5 for state in states])
    rows, _ = pool.gather([second, other])
    assert rows[:, 0].tolist() == [0, 5]


def test_more_sessions_than_slots_is_an_error_with_a_code() -> None:
    pool = SlotPool(SPECS, 2)
    leases = [pool.acquire(), pool.acquire()]
    with pytest.raises(ModelError, match="all 2 recogniser slots") as caught:
        pool.acquire()
    assert caught.value.code == "asr.no-slot"
    pool.release(leases[0])
    pool.release(leases[0])
    assert pool.free == 1
    pool.acquire()
    with pytest.raises(ModelError):
        pool.acquire()


def test_memory_of_a_session_is_counted() -> None:
    assert SlotPool(SPECS, 5).slot_bytes == 3 * 4 + 2 * 4 * 8
