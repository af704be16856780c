from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from streamer.mqtt.outbox import Message, Outbox


def partial(segment: int, number: int) -> Message:
    return Message("partial", str(number).encode(), transient=True, about=segment)


def final(segment: int, number: int) -> Message:
    return Message("final", str(number).encode(), qos=1, about=segment)


async def drained(outbox: Outbox) -> list[bytes]:
    out = []
    while len(outbox):
        out.append((await outbox.take()).payload)
        outbox.done()
    return out


def test_newer_partials_and_finals_replace_waiting_partials_of_their_segment() -> None:
    outbox = Outbox(10)
    for message in (partial(0, 0), partial(1, 1), partial(0, 2), final(0, 3), partial(1, 4)):
        outbox.put(message)
    assert asyncio.run(drained(outbox)) == [b"3", b"4"]


def test_a_full_outbox_drops_partials_before_finals_and_the_oldest_first() -> None:
    outbox = Outbox(3)
    assert [outbox.put(final(n, n)) for n in range(2)] == [0, 0]
    assert outbox.put(partial(9, 9)) == 0
    assert [outbox.put(final(n, n)) for n in (2, 3)] == [0, 1]
    assert outbox.lost == 1
    assert asyncio.run(drained(outbox)) == [b"1", b"2", b"3"]


def test_what_was_in_flight_goes_first_again() -> None:
    async def scenario() -> list[bytes]:
        outbox = Outbox(2)
        outbox.put(final(0, 0))
        assert (await outbox.take()).payload == b"0"
        assert outbox.put(final(1, 1)) == 0
        assert outbox.put(final(2, 2)) == 1
        outbox.retry()
        return await drained(outbox)

    assert asyncio.run(scenario()) == [b"0", b"2"]


Step = st.one_of(
    st.tuples(st.just("final"), st.integers(0, 3)),
    st.tuples(st.just("partial"), st.integers(0, 3)),
    st.tuples(st.sampled_from(["arrive", "lose"]), st.just(0)),
)


@given(st.lists(Step, max_size=60), st.integers(1, 8))
def test_finals_keep_their_order_and_every_one_is_sent_or_counted_as_lost(
    steps: list[tuple[str, int]], limit: int
) -> None:
    async def scenario() -> None:
        outbox, sent, put = Outbox(limit), [], 0
        for number, (what, segment) in enumerate(steps):
            if what == "final":
                outbox.put(final(segment, number))
                put += 1
            elif what == "partial":
                outbox.put(partial(segment, number))
            elif len(outbox):
                message = await outbox.take()
                if what == "arrive":
                    sent.append(message)
                    outbox.done()
                else:
                    outbox.retry()
            assert len(outbox) <= limit
        while len(outbox):
            sent.append(await outbox.take())
            outbox.done()
        finals = [int(m.payload) for m in sent if m.topic == "final"]
        assert finals == sorted(finals)
        assert len(finals) + outbox.lost == put

    asyncio.run(scenario())
