"""A graph runs, keeps its order, drains, and survives its nodes."""

from __future__ import annotations

import asyncio

import pytest

from streamer.errors import NodeError
from streamer.graph import Engine, In, Node, Out, QueueSpec, RestartSpec, Source
from streamer.graph.virtual import run
from streamer.packets import Stamp
from streamer.trace import AGE, WAIT, WORK

from .nodes import Collect, Count, Fault, Item, Pass, make_plan, stamp_of


def collected(engine: Engine, name: str = "sink") -> Collect:
    node = engine.runners[name].node
    assert isinstance(node, Collect)
    return node


def numbers(engine: Engine, name: str = "sink") -> list[int]:
    return [item.number for item in collected(engine, name).items]


def test_a_chain_delivers_everything_in_order_and_ends() -> None:
    plan = make_plan(
        {"src": Count, "mid": Pass, "sink": Collect}, "src.out -> mid.inp", "mid.out -> sink.inp"
    )
    engine = Engine(plan)
    run(engine.run())
    sink = collected(engine)
    assert numbers(engine) == list(range(10))
    assert sink.finished and sink.closed
    assert [s.position for s in sink.stamps] == [320 * (n + 1) for n in range(10)]


def test_fan_out_and_fan_in() -> None:
    plan = make_plan(
        {"src": Count, "a": Pass, "b": Pass, "sink": Collect},
        "src.out -> a.inp",
        "src.out -> b.inp",
        "a.out -> sink.inp",
        "b.out -> sink.inp",
    )
    engine = Engine(plan)
    run(engine.run())
    assert sorted(numbers(engine)) == sorted([*range(10), *range(10)])


class Slow(Node):
    inp: In[Item]
    out: Out[Item]

    async def process(self, item: Item) -> None:
        await asyncio.sleep(0.04)
        await self.out.send(item)


def test_block_holds_the_source_back() -> None:
    class Burst(Count):
        total = 100

    plan = make_plan(
        {"src": Burst, "slow": Slow, "sink": Collect},
        "src.out -> slow.inp",
        "slow.out -> sink.inp",
        queue=QueueSpec(seconds=None, items=4),
    )
    engine = Engine(plan)
    peak = 0

    async def main() -> None:
        nonlocal peak
        task = asyncio.create_task(engine.run())
        while not task.done():
            await asyncio.sleep(0.01)
            peak = max(peak, len(engine.channels[0]))
        await task

    run(main())
    assert numbers(engine) == list(range(100))
    assert peak == 4


class LiveCount(Count):
    every = 0.02
    total = 30000  # ten minutes of 20 ms frames


def test_overload_keeps_age_flat_and_counts_drops_exactly() -> None:
    first = "src.out -> slow.inp"
    plan = make_plan(
        {"src": LiveCount, "slow": Slow, "sink": Collect},
        first,
        "slow.out -> sink.inp",
        queues={first: QueueSpec(seconds=0.4, when_full="drop_oldest")},
    )
    engine = Engine(plan)

    async def main() -> float:
        task = asyncio.create_task(engine.run())
        await asyncio.sleep(30000 * 0.02)
        while_live = max(collected(engine).ages)
        await task
        return while_live

    assert run(main()) <= 0.5
    sink, edge = collected(engine), engine.channels[0]
    assert edge.dropped == 30000 - len(sink.items) > 14000
    assert edge.dropped_seconds == pytest.approx(edge.dropped * 0.02)
    assert edge.accepted == 30000


def test_gaps_are_told_to_the_reader() -> None:
    class Gapped(Node):
        inp: In[Item]
        out: Out[Item]

        async def on_gap(self, port: str, seconds: float, items: int) -> None:
            gaps.append((port, round(seconds, 6), items))

        async def process(self, item: Item) -> None:
            seen.append(item.number)
            await asyncio.sleep(0.1)

    gaps: list[tuple[str, float, int]] = []
    seen: list[int] = []

    class Ten(Count):
        every = 0.02
        total = 20

    text = "src.out -> slow.inp"
    plan = make_plan(
        {"src": Ten, "slow": Gapped}, text, queue=QueueSpec(items=2, when_full="drop_oldest")
    )
    run(Engine(plan).run())
    assert sum(items for _, _, items in gaps) + len(seen) == 20
    assert all(seconds == pytest.approx(items * 0.02) for _, seconds, items in gaps)


def test_stop_drains_what_was_sent() -> None:
    class Forever(Count):
        every = 0.02
        total = 10**9

    plan = make_plan(
        {"src": Forever, "slow": Slow, "sink": Collect},
        "src.out -> slow.inp",
        "slow.out -> sink.inp",
        queue=QueueSpec(seconds=5),
    )
    engine = Engine(plan)

    async def main() -> None:
        task = asyncio.create_task(engine.run())
        await asyncio.sleep(2)
        engine.stop()
        await task

    run(main())
    src = engine.runners["src"].node
    assert isinstance(src, Forever)
    assert numbers(engine) == list(range(src.sent))
    assert collected(engine).finished


def test_a_source_that_does_not_return_is_cancelled_and_the_rest_drains() -> None:
    class Deaf(Source):
        out: Out[Item]

        async def run(self) -> None:
            await self.out.send(Item(7), stamp_of(self, 0))
            await asyncio.sleep(10**6)

    engine = Engine(make_plan({"src": Deaf, "sink": Collect}, "src.out -> sink.inp"))

    async def main() -> float:
        loop = asyncio.get_running_loop()
        task = asyncio.create_task(engine.run())
        await asyncio.sleep(1)
        begin = loop.time()
        engine.stop()
        await task
        return loop.time() - begin

    assert run(main()) == pytest.approx(2.0, abs=0.1)
    assert numbers(engine) == [7]


class Poisoned(Node):
    """Fails on item 3."""

    inp: In[Item]
    out: Out[Item]

    async def process(self, item: Item) -> None:
        if item.number == 3:
            raise Fault("bad packet")
        await self.out.send(item)


EDGES = ("src.out -> mid.inp", "mid.out -> sink.inp")


def test_a_failing_node_is_restarted_and_the_packet_reported() -> None:
    plan = make_plan(
        {"src": Count, "mid": Poisoned, "sink": Collect},
        *EDGES,
        restart={"mid": RestartSpec("on_failure")},
    )
    engine = Engine(plan)
    run(engine.run())
    assert numbers(engine) == [0, 1, 2, 4, 5, 6, 7, 8, 9]
    (report,) = engine.reports
    assert report.node == "mid" and not report.fatal
    assert report.stamp.position == 4 * 320
    assert isinstance(report.error, NodeError) and report.error.code == "node.failed"


def test_without_restart_the_rest_drains_and_the_error_is_raised() -> None:
    engine = Engine(make_plan({"src": Count, "mid": Poisoned, "sink": Collect}, *EDGES))
    with pytest.raises(NodeError, match=r"'mid'.*0\.08 s.*bad packet") as caught:
        run(engine.run())
    assert caught.value.code == "node.failed"
    assert numbers(engine) == [0, 1, 2]
    assert collected(engine).finished


def test_restarts_are_limited_and_back_off() -> None:
    class Hopeless(Node):
        inp: In[Item]

        async def process(self, item: Item) -> None:
            times.append(asyncio.get_running_loop().time())
            raise Fault("always")

    times: list[float] = []
    plan = make_plan(
        {"src": Count, "mid": Hopeless},
        EDGES[0],
        restart={"mid": RestartSpec("on_failure", limit=3, backoff=0.1)},
    )
    with pytest.raises(NodeError):
        run(Engine(plan).run())
    waits = [b - a for a, b in zip(times, times[1:], strict=False)]
    assert waits == pytest.approx([0.1, 0.2, 0.4])


def test_one_failed_sink_leaves_the_other_running() -> None:
    class Broken(Node):
        inp: In[Item]

        async def process(self, item: Item) -> None:
            raise Fault("disk full")

    plan = make_plan(
        {"src": Count, "bad": Broken, "sink": Collect}, "src.out -> bad.inp", "src.out -> sink.inp"
    )
    engine = Engine(plan)
    with pytest.raises(NodeError):
        run(engine.run())
    assert numbers(engine) == list(range(10))


def test_a_source_stops_when_nobody_listens_any_more() -> None:
    class Endless(Count):
        total = 10**9
        every = 0.02

    class Broken(Node):
        inp: In[Item]

        async def process(self, item: Item) -> None:
            raise Fault("gone")

    engine = Engine(make_plan({"src": Endless, "bad": Broken}, "src.out -> bad.inp"))
    with pytest.raises(NodeError):
        run(engine.run())


def test_a_node_that_cannot_start_ends_the_run_and_closes_the_others() -> None:
    class NoModel(Pass):
        async def start(self) -> None:
            raise Fault("no model")

    engine = Engine(make_plan({"src": Count, "mid": NoModel, "sink": Collect}, *EDGES))
    with pytest.raises(Fault):
        run(engine.run())
    assert collected(engine).closed and not collected(engine).items


def test_the_failure_of_spawned_work_is_the_nodes_failure() -> None:
    class Spawner(Pass):
        async def start(self) -> None:
            self.ctx.spawn(self.fail())

        async def fail(self) -> None:
            await asyncio.sleep(1)
            raise Fault("in the background")

    class Slowly(Count):
        every = 0.3

    engine = Engine(make_plan({"src": Slowly, "mid": Spawner, "sink": Collect}, *EDGES))
    with pytest.raises(NodeError, match="in the background"):
        run(engine.run())
    assert numbers(engine) == [0, 1, 2]


def test_a_cancellation_let_out_by_a_node_is_a_failure_not_an_abort() -> None:
    class Leaky(Pass):
        async def process(self, item: Item) -> None:
            if item.number == 2:
                raise asyncio.CancelledError
            await self.out.send(item)

    engine = Engine(make_plan({"src": Count, "mid": Leaky, "sink": Collect}, *EDGES))
    with pytest.raises(NodeError, match="cancelled inside"):
        run(engine.run())
    assert numbers(engine) == [0, 1]


def test_interrupt_drops_what_is_stale_everywhere_and_overtakes_data() -> None:
    heard: list[int] = []

    class Speaker(Collect):
        async def process(self, item: Item) -> None:
            await asyncio.sleep(0.02)
            await super().process(item)

        async def on_interrupt(self, generation: int) -> None:
            heard.append(generation)

    class Talk(Count):
        total = 1000

    plan = make_plan(
        {"src": Talk, "mid": Pass, "sink": Speaker}, *EDGES, queue=QueueSpec(seconds=1.0)
    )
    engine = Engine(plan)

    async def main() -> int:
        task = asyncio.create_task(engine.run())
        await asyncio.sleep(1.01)
        waiting = sum(len(channel) for channel in engine.channels)
        assert waiting > 50
        assert engine.interrupt() == 1
        assert sum(len(channel) for channel in engine.channels) == 0
        await task
        return waiting

    run(main())
    sink = collected(engine)
    assert heard == [1]
    generations = [stamp.generation for stamp in sink.stamps]
    assert generations == sorted(generations) and set(generations) == {0, 1}
    assert sum(channel.stale for channel in engine.channels) >= 100


class Spoken(Item):
    interruptible = False


def test_what_a_person_said_survives_an_interruption_and_joins_the_new_generation() -> None:
    class Person(Source):
        out: Out[Item]

        async def run(self) -> None:
            for number in range(5):
                await self.out.send(Spoken(number), Stamp(position=number, captured_ns=1))

    class Listener(Collect):
        async def process(self, item: Item) -> None:
            await super().process(item)
            if item.number == 0:
                await self.ctx.interrupt()

    engine = Engine(make_plan({"src": Person, "sink": Listener}, "src.out -> sink.inp"))
    run(engine.run())
    assert numbers(engine) == [0, 1, 2, 3, 4]
    assert [s.generation for s in collected(engine).stamps] == [0, 1, 1, 1, 1]


def test_a_feedback_edge_does_not_keep_the_graph_alive() -> None:
    class Echo(Node):
        inp: In[Item]
        back: In[Item] = In(optional=True)
        out: Out[Item]

        async def process_inp(self, item: Item) -> None:
            await self.out.send(item)

        async def process_back(self, item: Item) -> None:
            returned.append(item.number)

    returned: list[int] = []

    class Paced(Count):
        every = 0.02

    back = "loop.out -> echo.back"
    plan = make_plan(
        {"src": Paced, "echo": Echo, "loop": Pass},
        "src.out -> echo.inp",
        "echo.out -> loop.inp",
        back,
        feedback=(back,),
    )
    run(Engine(plan).run())
    assert returned[:9] == list(range(9))


def test_the_watchdog_names_a_stalled_edge_once() -> None:
    class Stuck(Collect):
        async def process(self, item: Item) -> None:
            if item.number == 1:
                await asyncio.sleep(60)

    engine = Engine(make_plan({"src": Count, "sink": Stuck}, "src.out -> sink.inp", stall_after=4))
    run(engine.run())
    (report,) = engine.reports
    assert isinstance(report.error, NodeError) and report.error.code == "edge.stalled"
    assert "src.out -> sink.inp" in report.error.message


def test_cancelling_the_run_closes_every_node() -> None:
    class Forever(Count):
        every = 0.02
        total = 10**9

    engine = Engine(make_plan({"src": Forever, "sink": Collect}, "src.out -> sink.inp"))

    async def main() -> None:
        task = asyncio.create_task(engine.run())
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert collected(engine).closed
        assert len(asyncio.all_tasks()) == 1

    run(main())


def test_wait_and_work_are_told_apart() -> None:
    class Work(Node):
        inp: In[Item]
        out: Out[Item]

        async def process(self, item: Item) -> None:
            await asyncio.sleep(0.005)
            await self.out.send(item)

    class Sink(Collect):
        async def process(self, item: Item) -> None:
            await asyncio.sleep(0.02)

    plan = make_plan(
        {"src": Count, "mid": Work, "sink": Sink}, *EDGES, queue=QueueSpec(seconds=None, items=1)
    )
    engine = Engine(plan)
    run(engine.run())
    work = engine.recorder.track("mid").histograms[WORK]
    assert work.percentile(99) == pytest.approx(5e6, rel=0.1)
    assert engine.recorder.track("sink").histograms[WORK].mean == pytest.approx(20e6, rel=0.01)
    wait = engine.recorder.track(EDGES[1]).histograms[WAIT]
    assert wait.percentile(90) == pytest.approx(20e6, rel=0.1)
    assert engine.recorder.track("sink").histograms[AGE].count == 10


class Marking(Source):
    """Three items, a mark, three items."""

    out: Out[Item]

    async def run(self) -> None:
        for number in range(6):
            await self.out.send(Item(number), stamp_of(self, number))
            if number == 2:
                await self.ctx.mark("half")


class Late(Node):
    """Holds an item back until a mark or the end makes it give it away."""

    inp: In[Item]
    out: Out[Item]

    async def start(self) -> None:
        self.held: list[Item] = []

    async def process(self, item: Item) -> None:
        await asyncio.sleep(0.5)
        self.held.append(item)

    async def on_mark(self, mark: str) -> None:
        for item in self.held:
            await self.out.send(item)
        self.held = []

    async def finish(self) -> None:
        await self.on_mark("end")


class Log(Collect):
    async def start(self) -> None:
        self.log: list[object] = []

    async def process(self, item: Item) -> None:
        self.log.append(item.number)

    async def on_mark(self, mark: str) -> None:
        self.log.append(mark)


@pytest.mark.parametrize("spec", [QueueSpec(items=1), QueueSpec(items=2, when_full="drop_oldest")])
def test_a_mark_arrives_behind_all_that_was_sent_before_it_on_every_path(spec: QueueSpec) -> None:
    plan = make_plan(
        {"src": Marking, "fast": Pass, "late": Late, "sink": Log},
        "src.out -> fast.inp",
        "src.out -> late.inp",
        "fast.out -> sink.inp",
        "late.out -> sink.inp",
        queues={"fast.out -> sink.inp": QueueSpec(items=1), "src.out -> late.inp": spec},
    )
    engine = Engine(plan)
    run(engine.run())
    sink = engine.runners["sink"].node
    assert isinstance(sink, Log)
    half = sink.log.index("half")
    before, after = sink.log[:half], sink.log[half + 1 :]
    assert sink.log.count("half") == 1
    assert set(before) == {0, 1, 2} and set(after) == {3, 4, 5}
    if spec.when_full == "block":
        assert sorted(before) == [0, 0, 1, 1, 2, 2]  # type: ignore[type-var]
