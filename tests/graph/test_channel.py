"""What a channel promises, for any sequence of writes and reads."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.errors import NodeError
from streamer.graph import Channel, Policy, QueueSpec
from streamer.graph.packet import Packet
from streamer.graph.plan import Edge
from streamer.graph.virtual import run
from streamer.packets import Stamp, Transcript

from .nodes import Collect, Count, Item

LOSSY: tuple[Policy, ...] = ("drop_oldest", "drop_newest")


def channel(spec: QueueSpec) -> Channel:
    edge = Edge("a", Count.ports()[1]["out"], "b", Collect.ports()[0]["inp"], spec)
    return Channel(edge, lambda: 0)


def packet(number: int, *, generation: int = 0, value: Any = None) -> Packet:
    stamp = Stamp(position=(number + 1) * 320, generation=generation)
    return Packet(Item(number) if value is None else value, stamp)


ops = st.lists(st.sampled_from(["put", "put", "take"]), max_size=200)
limits = st.one_of(
    st.builds(QueueSpec, seconds=st.none(), items=st.integers(1, 8)),
    st.builds(QueueSpec, seconds=st.floats(0.02, 0.2), items=st.none()),
)


@given(ops, limits, st.sampled_from(LOSSY))
def test_drops_are_counted_exactly_and_order_is_kept(
    sequence: list[str], limit: QueueSpec, policy: Policy
) -> None:
    edge = channel(QueueSpec(limit.seconds, limit.items, policy))
    out: list[Packet] = []
    sent = 0
    for op in sequence:
        if op == "put":
            assert edge.offer(packet(sent))
            sent += 1
        elif edge.front is not None:
            out.append(edge.take())
        assert limit.items is None or len(edge) <= limit.items
        assert limit.seconds is None or len(edge) <= 1 or edge.stats().media <= limit.seconds + 1e-6
    while edge.front is not None:
        out.append(edge.take())
    numbers = [p.value.number for p in out]
    assert numbers == sorted(set(numbers))
    assert edge.dropped == sent - len(out)
    assert edge.dropped_seconds == pytest.approx(0.02 * edge.dropped)
    # Every missing number is announced by the packet behind the hole, or by the late gap.
    expected = 0
    for p in out:
        assert p.gap_items == p.value.number - expected
        assert p.gap_seconds == pytest.approx(0.02 * p.gap_items)
        expected = p.value.number + 1
    assert edge.late_gap()[0] == sent - expected


@given(
    limits,
    st.lists(st.integers(1, 5), min_size=1, max_size=5),
    st.lists(st.integers(0, 3), max_size=40),
)
def test_block_loses_nothing(limit: QueueSpec, senders: list[int], pauses: list[int]) -> None:
    edge = channel(limit)
    total = sum(senders)
    out: list[int] = []

    async def send(first: int, count: int) -> None:
        for number in range(first, first + count):
            p = packet(number)
            if not edge.offer(p):
                await edge.put(p)

    async def read() -> None:
        turn = 0
        while len(out) < total:
            await asyncio.sleep(pauses[turn % len(pauses)] if pauses else 0)
            turn += 1
            if edge.front is not None:
                out.append(edge.take().value.number)
            elif not pauses or not any(pauses):
                await asyncio.sleep(0.001)

    async def main() -> None:
        if pauses and not any(pauses):
            pauses.append(1)
        firsts = [sum(senders[:i]) for i in range(len(senders))]
        await asyncio.gather(read(), *map(send, firsts, senders))

    run(main())
    assert sorted(out) == list(range(total))
    for first, count in zip((sum(senders[:i]) for i in range(len(senders))), senders, strict=True):
        mine = [n for n in out if first <= n < first + count]
        assert mine == sorted(mine)
    assert edge.accepted == total and edge.dropped == 0


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("put"), st.integers(0, 4)),
            st.tuples(st.just("purge"), st.integers(0, 4)),
            st.tuples(st.just("take"), st.just(0)),
        ),
        max_size=100,
    )
)
def test_generations_never_go_back(sequence: list[tuple[str, int]]) -> None:
    edge = channel(QueueSpec(seconds=None, items=1000))
    current, sent, taken = 0, 0, 0
    for op, number in sequence:
        if op == "put":
            edge.offer(packet(sent, generation=number))
            sent += 1
        elif op == "purge":
            edge.purge(number)
            current = max(current, number)
        elif edge.front is not None:
            assert edge.take().stamp.generation >= current
            taken += 1
    assert edge.accepted + edge.stale >= sent
    assert sent == taken + len(edge) + edge.stale


def test_coalesce_keeps_the_newest_partial_and_every_final() -> None:
    edge = channel(QueueSpec(items=2, when_full="coalesce"))

    def transcript(revision: int, *, final: bool = False) -> Packet:
        value = Transcript(f"r{revision}", 0, 1, revision=revision, final=final)
        return packet(0, value=value)

    for revision in range(5):
        assert edge.offer(transcript(revision))
    assert edge.offer(transcript(5, final=True))
    assert not edge.offer(transcript(6, final=True)), "a final has to wait, not replace"
    assert edge.coalesced == 4
    out = []
    while edge.front is not None:
        out.append(edge.take().value)
    assert [t.revision for t in out] == [4, 5]


def test_error_policy_raises_with_the_name_of_the_edge() -> None:
    edge = channel(QueueSpec(items=1, when_full="error"))
    edge.offer(packet(0))
    with pytest.raises(NodeError, match=r"a\.out -> b\.inp") as caught:
        edge.offer(packet(1))
    assert caught.value.code == "edge.overflow"


def test_one_long_packet_always_fits_into_an_empty_edge() -> None:
    @dataclass
    class Long:
        duration: float = 60.0

    edge = channel(QueueSpec(seconds=0.1))
    assert edge.offer(packet(0, value=Long()))
    assert not edge.offer(packet(1, value=Long()))


def test_abandon_frees_waiting_senders() -> None:
    edge = channel(QueueSpec(items=1))

    async def main() -> None:
        edge.offer(packet(0))
        tasks = [asyncio.create_task(edge.put(packet(n))) for n in (1, 2)]
        await asyncio.sleep(1)
        assert edge.stats().senders_waiting == 2
        edge.abandon()
        await asyncio.gather(*tasks)

    run(main())
    assert edge.discarded == 3 and len(edge) == 0


def test_a_cancelled_sender_leaves_the_others_in_line() -> None:
    edge = channel(QueueSpec(items=1))
    out: list[int] = []

    async def main() -> None:
        edge.offer(packet(0))
        tasks = [asyncio.create_task(edge.put(packet(n))) for n in (1, 2, 3)]
        await asyncio.sleep(1)
        tasks[0].cancel()
        tasks[1].cancel()
        await asyncio.sleep(1)
        while edge.front is not None:
            out.append(edge.take().value.number)
            await asyncio.sleep(1)

    run(main())
    assert out == [0, 3]
