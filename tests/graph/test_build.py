"""From YAML to a plan, and every mistake with its place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field

from streamer.errors import InputError
from streamer.graph import Engine, GraphPlan, In, Node, NodeConfig, Out
from streamer.graph.build import load_graph, load_text
from streamer.graph.problems import GraphProblems, Problem
from streamer.graph.registry import Registry
from streamer.graph.units import Seconds
from streamer.graph.virtual import run

from .nodes import Collect, Count, Item, Pass


class Text(Node):
    """Takes something else."""

    text: In[str]


class Paced(Count):
    """With settings."""

    class Config(NodeConfig):
        rate: int = 16000
        chunk: Seconds = Field(0.02, description="length of a frame")
        word: str = "x"

    @classmethod
    def gives(cls, config: Any) -> dict[str, dict[str, Any]]:
        return {"out": {"rate": config.rate}}


class Live(Paced):
    live = True


class Needy(Collect):
    @classmethod
    def needs(cls, config: Any) -> dict[str, dict[str, Any]]:
        return {"inp": {"rate": 16000}}


class Two(Node):
    a: In[Item]
    b: In[Item] = In(optional=True)
    first: Out[Item]
    second: Out[Item]

    async def process_a(self, item: Item) -> None:
        await self.first.send(item)
        await self.second.send(Item(-item.number))

    async def process_b(self, item: Item) -> None: ...


class Wants(Collect):
    @classmethod
    def needs(cls, config: Any) -> dict[str, dict[str, Any]]:
        return {"inp": {"depth": 3}}


class Convert(Node):
    converts = Item
    inp: In[Item]
    out: Out[Item]

    class Config(NodeConfig):
        rate: int

    async def process(self, item: Item) -> None:
        await self.out.send(item)


REGISTRY = Registry(
    {
        "source.count": Paced,
        "source.live": Live,
        "pass": Pass,
        "two": Two,
        "text": Text,
        "sink": Collect,
        "needy": Needy,
        "wants": Wants,
        "convert.item": Convert,
        "broken": "no.such.module:Thing",
    },
    plugins=False,
)


def load(text: str, **variables: str) -> GraphPlan:
    return load_text(text, "g.yaml", REGISTRY, variables=variables)


def problems(text: str, **variables: str) -> list[Problem]:
    with pytest.raises(GraphProblems) as caught:
        load(text, **variables)
    return caught.value.problems


HEAD = "version: 1\nnodes:\n  src: {use: source.count}\n"


def test_a_graph_runs() -> None:
    plan = load(
        "version: 1\n"
        "name: demo\n"
        "stall_after: 3s\n"
        "nodes:\n"
        "  src: {use: source.count, chunk: 40ms, rate: 8000}\n"
        "  mid: {use: two, in: src, restart: {limit: 2, within: 1min}}\n"
        "  out:\n"
        "    use: sink\n"
        "    in: [mid, {from: mid.second, queue: {max: [1s, 3 items], when_full: block}}]\n"
    )
    assert plan.name == "demo" and plan.stall_after == 3
    assert plan.nodes["src"].config.chunk == 0.04
    assert plan.nodes["mid"].restart.limit == 2 and plan.nodes["mid"].restart.within == 60
    assert plan.nodes["mid"].where == "g.yaml:6"
    assert [edge.name for edge in plan.edges] == [
        "src.out -> mid.a",
        "mid.first -> out.inp",
        "mid.second -> out.inp",
    ]
    queue = plan.edges[2].queue
    assert (queue.seconds, queue.items, queue.when_full) == (1.0, 3, "block")
    engine = Engine(plan)
    run(engine.run())
    sink = engine.runners["out"].node
    assert isinstance(sink, Collect) and len(sink.items) == 20


@pytest.mark.parametrize(
    ("body", "code", "line", "column", "part"),
    [
        ("  x: {use: sinc, in: src}\n", "graph.unknown-kind", 4, 12, "Did you mean 'sink'"),
        ("  x: {use: sink, in: scr}\n", "graph.unknown-node", 4, 22, "Did you mean 'src'"),
        ("  x: {use: sink, in: src.uot}\n", "graph.unknown-port", 4, 22, "Did you mean 'out'"),
        ("  x: {use: sink, in: {imp: src}}\n", "graph.unknown-port", 4, 23, "'inp'"),
        ("  x: {use: text, in: src}\n", "graph.type-mismatch", 4, 22, "gives Item"),
        ("  x: {use: sink}\n", "graph.missing-input", 4, 3, "'inp' (Item)"),
        ("  x: {use: source.count, chnk: 1}\n", "graph.unknown-key", 4, 26, "Did you mean 'chunk'"),
        ("  x: {use: source.count, chunk: 1x}\n", "graph.bad-value", 4, 33, "such as 400ms"),
        ("  x: {use: source.count, rate: a}\n", "graph.bad-value", 4, 32, "integer"),
        ("  x: {in: src}\n", "graph.missing-key", 4, 3, "'use' is missing"),
        ("  x: {use: pass, in: [src, src]}\n", "graph.too-many-inputs", 4, 28, "one source"),
        ("  x: {use: pass, in: y}\n  y: {use: pass, in: x}\n", "graph.cycle", 0, 0, "y -> x -> y"),
        ("  src: {use: sink}\n", "yaml.duplicate-key", 4, 3, "twice"),
        ("\tx: 1\n", "yaml.tab", 4, 1, "Use spaces"),
        ("  x: {use: sink, in: [src\n", "yaml.syntax", 0, 0, "not YAML"),
        ("  x: {use: broken}\n", "graph.broken-plugin", 4, 12, "no.such.module"),
        ("  a.b: {use: pass, in: src}\n", "graph.bad-name", 4, 3, "letters"),
        ("  x: {use: sink, in: {inp: {from: src, queue: {max: lots}}}}\n",
         "graph.bad-value", 4, 53, "such as 400ms"),
        ("  x: {use: sink, in: {inp: {from: src, queue: {maxx: 1s}}}}\n",
         "graph.unknown-key", 4, 48, ""),
        ("  x: {use: sink, in: src, queue: {when_full: drop}}\n",
         "graph.bad-value", 4, 46, "block"),
        ("  x: {use: sink, in: src, queue: {max: 0}}\n",
         "graph.bad-value", 4, 40, "hold something"),
        ("  x: {use: source.count, word: '${NAME}'}\n", "graph.unknown-variable", 4, 32, "--set"),
        ("  x: {use: source.count, word: '${N:?say N}'}\n",
         "graph.unknown-variable", 4, 32, "say N"),
        ("  l: {use: source.live}\n  x: {use: sink, in: l, queue: {when_full: block}}\n",
         "graph.live-blocked", 5, 22, "drop_oldest"),
        ("  x: {use: graph, path: nope.yaml}\n", "graph.unreadable", 4, 25, "No such file"),
        ("  x: {use: graph, path: \"a\\0\"}\n", "graph.unreadable", 4, 25, "null byte"),
        ("  x: {use: sink, in: src}\nchain: [src, xx]\n", "graph.unknown-node", 5, 14, "Did you"),
        ("  x: {use: pass, in: src}\nchain: [src, x]\n",
         "graph.too-many-inputs", 5, 9, "one source"),
        ("  x: {use: sink, in: src.}\n", "graph.unknown-port", 4, 22, "no output ''"),
        ("  x: {use: wants, in: {inp: src}}\n", "graph.format-mismatch", 4, 29, "needs depth 3"),
        ("  x: {use: source.count, word: ${W}}\n", "yaml.syntax", 4, 33, "needs quotes"),
        ("stall: 3\n", "graph.unknown-key", 4, 1, "Did you mean 'stall_after'"),
    ],
)  # fmt: skip
def test_every_mistake_has_its_place(
    body: str, code: str, line: int, column: int, part: str
) -> None:
    found = problems(HEAD + body)
    assert [p.code for p in found] == [code]
    assert line == 0 or (found[0].line, found[0].column) == (line, column)
    assert part in found[0].render()


def test_all_mistakes_at_once_in_the_order_of_the_file() -> None:
    found = problems(
        "version: 1\n"
        "nodes:\n"
        "  src: {use: source.cuont}\n"
        "  mid: {use: pass, in: src, spede: 2}\n"
        "  out: {use: sink, in: mdi}\n"
        "  two: {use: two}\n"
    )
    assert [(p.code, p.line) for p in found] == [
        ("graph.unknown-kind", 3),
        ("graph.unknown-key", 4),
        ("graph.unknown-node", 5),
        ("graph.missing-input", 6),
    ]


def test_the_report_shows_the_line_and_a_caret() -> None:
    with pytest.raises(GraphProblems) as caught:
        load(HEAD + "  x: {use: sinc, in: src}\n")
    assert str(caught.value) == (
        "g.yaml:4:12: There is no node kind 'sinc'. [graph.unknown-kind]\n"
        "      x: {use: sinc, in: src}\n"
        "               ^\n"
        "  Did you mean 'sink'?"
    )


def test_variables() -> None:
    text = HEAD + "  x: {use: source.count, rate: '${RATE:-8000}', word: 'a-${W:-b}-$${c}'}\n"
    assert load(text).nodes["x"].config.rate == 8000
    config = load(text, RATE="44100", W="w").nodes["x"].config
    assert (config.rate, config.word) == (44100, "a-w-${c}")


def test_a_number_is_a_text_where_a_text_is_wanted() -> None:
    text = HEAD + "  x: {use: source.count, rate: '${N}', word: '${N}'}\n"
    for value, rate in (("007", 7), ("16000", 16000)):
        config = load(text, N=value).nodes["x"].config
        assert (config.rate, config.word) == (rate, value)
    assert problems(text, N="many")[0].code == "graph.bad-value"


def test_settings_come_before_the_environment_and_must_occur() -> None:
    text = HEAD + "  x: {use: source.count, word: '${W:-b}'}\n"
    plan = load_text(text, "g.yaml", REGISTRY, settings={"W": "set"}, variables={"W": "env"})
    assert plan.nodes["x"].config.word == "set"
    with pytest.raises(GraphProblems, match="Did you mean 'WORD'") as caught:
        load_text(
            text.replace("W:", "WORD:"), "g.yaml", REGISTRY, settings={"WRD": "1"}, variables={}
        )
    assert caught.value.code == "graph.unknown-variable"


def test_chains() -> None:
    tail = "  a: {use: two}\n  b: {use: pass}\n  out: {use: sink}\n"
    plan = load(HEAD + tail + "chain: [src, a.second, b, out]\n")
    names = ["src.out -> a.a", "a.second -> b.inp", "b.out -> out.inp"]
    assert [edge.name for edge in plan.edges] == names
    plan = load(HEAD + tail + "chain: [[src, a, b, out], [a.second, out]]\n")
    assert plan.edges[-1].name == "a.second -> out.inp" and len(plan.edges) == 4


def test_anchors_and_merge_keys() -> None:
    plan = load(
        "version: 1\nnodes:\n"
        "  a: &slow {use: source.count, rate: 8000}\n"
        "  b: {<<: *slow, chunk: 1s}\n"
    )
    assert (plan.nodes["b"].config.rate, plan.nodes["b"].config.chunk) == (8000, 1)


def test_anchors_that_explode_are_refused() -> None:
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
    assert problems("\n".join(rows))[0].code == "yaml.syntax"


def test_yaml_1_2_words_stay_words() -> None:
    assert load(HEAD + "  x: {use: source.count, word: no}\n").nodes["x"].config.word == "no"


def test_a_cycle_may_be_declared() -> None:
    plan = load(HEAD + "  x: {use: two, in: {a: src, b: {from: y, feedback: true}}}\n"
                "  y: {use: pass, in: x}\n")  # fmt: skip
    assert [edge.feedback for edge in plan.edges] == [False, True, False]


def test_a_converter_is_put_in_once_where_formats_differ() -> None:
    plan = load(
        "version: 1\n"
        "nodes:\n"
        "  src: {use: source.live, rate: 48000}\n"
        "  a: {use: needy, in: src}\n"
        "  b: {use: needy, in: {inp: {from: src, queue: {max: 1s}}}}\n"
    )
    assert plan.nodes["src/convert"].config.rate == 16000
    assert [(e.name, e.queue.when_full) for e in plan.edges] == [
        ("src.out -> src/convert.inp", "drop_oldest"),
        ("src/convert.out -> a.inp", "block"),
        ("src/convert.out -> b.inp", "block"),
    ]
    assert plan.edges[2].queue.seconds == 1
    same = load(HEAD + "  a: {use: needy, in: src}\n")
    assert list(same.nodes) == ["src", "a"]


def test_an_edge_from_a_live_source_drops_by_default() -> None:
    plan = load("version: 1\nnodes:\n  l: {use: source.live}\n  x: {use: sink, in: l}\n")
    assert (plan.edges[0].queue.seconds, plan.edges[0].queue.when_full) == (2.0, "drop_oldest")


def test_unbounded_edges_are_refused_when_strict() -> None:
    text = HEAD + "  x: {use: sink, in: {inp: {from: src, queue: {max: unbounded}}}}\n"
    assert load(text).edges[0].queue.seconds is None
    with pytest.raises(GraphProblems) as caught:
        load_text(text, "g.yaml", REGISTRY, variables={}, strict=True)
    assert caught.value.code == "graph.unbounded"


SUB = """\
version: 1
parameters: {rate: 8000}
inputs: {items: first}
outputs: {out: last, early: first.second}
nodes:
  first: {use: two}
  last: {use: pass, in: first}
  own: {use: source.count, rate: "${rate}"}
  eat: {use: sink, in: own}
"""


def test_a_sub_graph_with_parameters(tmp_path: Path) -> None:
    (tmp_path / "sub.yaml").write_text(SUB)
    main = tmp_path / "main.yaml"
    main.write_text(
        HEAD + "  sub: {use: graph, path: sub.yaml, with: {rate: 44100}, in: src}\n"
        "  out: {use: sink, in: [sub, sub.early]}\n"
    )
    plan = load_graph(main, REGISTRY, variables={"rate": "1"})
    assert plan.nodes["sub/own"].config.rate == 44100
    assert {edge.name for edge in plan.edges} == {
        "src.out -> sub/first.a",
        "sub/first.first -> sub/last.inp",
        "sub/own.out -> sub/eat.inp",
        "sub/last.out -> out.inp",
        "sub/first.second -> out.inp",
    }
    engine = Engine(plan)
    run(engine.run())
    sink = engine.runners["out"].node
    assert isinstance(sink, Collect) and len(sink.items) == 20


def test_queues_of_sub_graphs(tmp_path: Path) -> None:
    (tmp_path / "sub.yaml").write_text(SUB + "defaults: {queue: {max: 7s}}\n")
    main = tmp_path / "main.yaml"
    main.write_text(
        "defaults: {queue: {max: 9s}}\n" + HEAD + "  sub: {use: graph, path: sub.yaml, in: src, "
        "queue: {max: 1s}}\n  out: {use: sink, in: sub}\n"
    )
    plan = load_graph(main, REGISTRY, variables={})
    limits = {edge.name: edge.queue.seconds for edge in plan.edges}
    assert limits["src.out -> sub/first.a"] == 1
    assert limits["sub/first.first -> sub/last.inp"] == 7
    assert limits["sub/last.out -> out.inp"] == 9


def test_a_sub_graph_has_no_restart(tmp_path: Path) -> None:
    (tmp_path / "sub.yaml").write_text(SUB)
    main = tmp_path / "main.yaml"
    main.write_text(HEAD + "  s: {use: graph, path: sub.yaml, in: src, restart: never}\n")
    with pytest.raises(GraphProblems, match="no setting 'restart'"):
        load_graph(main, REGISTRY, variables={})


def test_mistakes_in_a_sub_graph_name_its_file(tmp_path: Path) -> None:
    (tmp_path / "sub.yaml").write_text(SUB.replace("use: two", "use: tow"))
    main = tmp_path / "main.yaml"
    main.write_text(HEAD + "  sub: {use: graph, path: sub.yaml, with: {rat: 1}, in: src}\n")
    with pytest.raises(GraphProblems) as caught:
        load_graph(main, REGISTRY, variables={})
    assert [(Path(p.file).name, p.code, p.line) for p in caught.value.problems] == [
        ("main.yaml", "graph.unknown-key", 4),
        ("sub.yaml", "graph.unknown-kind", 6),
    ]


def test_a_sub_graph_that_contains_itself_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "loop.yaml"
    path.write_text("version: 1\nnodes:\n  again: {use: graph, path: loop.yaml}\n")
    with pytest.raises(GraphProblems, match="contain itself"):
        load_graph(path, REGISTRY, variables={})


def test_an_unreadable_file(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        load_graph(tmp_path / "none.yaml", REGISTRY)
    assert caught.value.code == "graph.unreadable"
    (tmp_path / "bad.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="UTF-8"):
        load_graph(tmp_path / "bad.yaml", REGISTRY)


words = st.sampled_from(
    [
        "chain: [a, b]\n",
        "version: 1\n",
        "nodes:\n",
        "  a: ",
        "  b: ",
        "{use: sink",
        "{use: pass",
        ", in: a",
        ", in: [",
    ]
    + ["}", "]", "\n", "- ", "${X}", "*x", "&x ", "? ", "!!int ", "\t", "null", "{from: a}", "1e3"]
)


@settings(max_examples=300)
@given(st.one_of(st.text(max_size=60), st.lists(words, max_size=25).map("".join)))
def test_any_text_gives_a_plan_or_problems(text: str) -> None:
    try:
        load(text)
    except GraphProblems as error:
        assert error.problems


leaves = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(),
    st.sampled_from(["a", "a.first", "b", "sink", "two", "graph", "1s", "${X}", "", "unbounded"]),
)  # fmt: skip
anything = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["a", "from", "queue", "max", "inp"]), inner, max_size=3),
    ),
    max_leaves=6,
)
entries = st.fixed_dictionaries(
    {"use": st.one_of(st.sampled_from(["source.live", "two", "sink", "graph", "needy"]), anything)},
    optional=dict.fromkeys(("in", "queue", "restart", "path", "with", "rate"), anything),
)
files = st.fixed_dictionaries(
    {"nodes": st.one_of(st.dictionaries(st.sampled_from(["a", "b", "c"]), entries), anything)},
    optional={
        "version": st.just(1),
        **dict.fromkeys(("chain", "defaults", "inputs", "outputs", "parameters"), anything),
    },
)


@settings(max_examples=150)
@given(files)
def test_any_values_give_a_plan_or_problems(values: dict[str, Any]) -> None:
    try:
        load(json.dumps({"version": 1, **values}))
    except GraphProblems as error:
        assert error.problems
