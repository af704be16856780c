"""The shape of a graph file, as pydantic models; the JSON Schema comes from the same."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from streamer.graph.plan import Policy, QueueSpec, RestartSpec
from streamer.graph.units import Seconds, parse_seconds

__all__ = ["GraphFile", "NodeEntry", "Queue", "Reference", "Restart"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", populate_by_name=True, coerce_numbers_to_str=True)


def _limit(value: Any) -> tuple[float | None, int | None]:
    """(seconds, items) from ``400ms``, ``20 items``, ``unbounded`` or a list of two."""
    if isinstance(value, tuple):
        return value
    seconds: float | None = None
    items: int | None = None
    for part in value if isinstance(value, list) else [value]:
        text = part.strip() if isinstance(part, str) else ""
        if text == "unbounded":
            return None, None
        if text.endswith(("item", "items")):
            number = text.rsplit(maxsplit=1)[0] if " " in text else ""
            if not number.isdigit() or int(number) < 1:
                raise ValueError(f"{text!r} is not a number of items, such as '20 items'")
            items = int(number)
        else:
            seconds = parse_seconds(part)
            if seconds == 0:
                raise ValueError("an edge must hold something; write 400ms or '20 items'")
    return seconds, items


Limit = Annotated[
    tuple[float | None, int | None],
    BeforeValidator(_limit),
    WithJsonSchema(
        {
            "description": "400ms, '20 items', unbounded, or [400ms, 20 items]",
            "anyOf": [
                {"type": "number"},
                {"type": "string"},
                {"type": "array", "items": {"type": ["string", "number"]}},
            ],
        }
    ),
]


class Queue(_Strict):
    """How much may wait on an edge, and what happens when it is full."""

    max: Limit = Field((0.4, None), description="seconds of media, or items")
    when_full: Policy = Field("block", description="what happens when it is full")

    def spec(self) -> QueueSpec:
        return QueueSpec(self.max[0], self.max[1], self.when_full)


class Restart(_Strict):
    """What to do when the node fails."""

    policy: Literal["never", "on_failure"] = "on_failure"
    limit: int = Field(3, ge=0, description="restarts at most")
    within: Seconds = Field(60.0, description="in this time")
    backoff: Seconds = Field(0.1, description="wait before the first restart, then doubling")

    def spec(self) -> RestartSpec:
        return RestartSpec(self.policy, self.limit, self.within, self.backoff)


class Reference(_Strict):
    """An input in its long form."""

    source: str = Field(alias="from", description="a node, or node.output")
    queue: Queue | None = None
    feedback: bool = Field(False, description="closes a cycle on purpose")


Inputs = str | Reference | list[str | Reference]


class NodeEntry(BaseModel):
    """One node: its kind, its inputs, and the settings of its kind beside them."""

    model_config = ConfigDict(extra="allow", populate_by_name=True)

    use: str = Field(description="the kind of node")
    inputs: Inputs | dict[str, Inputs] | None = Field(
        None, alias="in", description="where packets come from"
    )
    queue: Queue | None = Field(None, description="for all inputs of this node")
    restart: Restart | Literal["never", "on_failure"] = Field(
        "never", description="what to do when the node fails"
    )


class Defaults(_Strict):
    """What holds where nothing else is said."""

    queue: Queue | None = None


class GraphFile(_Strict):
    """A graph."""

    version: Literal[1] = Field(description="of this format: 1")
    name: str = Field("graph", description="shown in summaries and traces")
    description: str = ""
    stall_after: Seconds = Field(10.0, description="a packet waiting longer is reported")
    defaults: Defaults = Field(default_factory=Defaults)
    parameters: dict[str, Any] = Field(
        default_factory=dict, description="of a sub-graph: names and default values"
    )
    inputs: dict[str, str | list[str]] = Field(
        default_factory=dict, description="of a sub-graph: its name for an input, and where to"
    )
    outputs: dict[str, str] = Field(
        default_factory=dict, description="of a sub-graph: its name for an output, and from where"
    )
    chain: list[str] | list[list[str]] = Field(
        default_factory=list, description="nodes in a row, each fed by the one before"
    )
    nodes: dict[str, NodeEntry]
