"""Names an edge on which data waits and nobody reads."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from streamer.errors import NodeError

if TYPE_CHECKING:
    from streamer.graph.engine import Engine

__all__ = ["watch"]


async def watch(engine: Engine) -> None:
    """Report each stall once: nothing was taken for ``plan.stall_after`` s while data waited."""
    patience = engine.plan.stall_after
    seen: dict[str, tuple[int, float]] = {}
    told: set[str] = set()
    clock = asyncio.get_running_loop().time
    while True:
        await asyncio.sleep(patience / 4)
        now = clock()
        for channel in engine.channels:
            taken, since = seen.get(channel.name, (-1, now))
            if channel.front is None or channel.taken != taken:
                seen[channel.name] = (channel.taken, now)
                told.discard(channel.name)
            elif now - since >= patience and channel.name not in told:
                told.add(channel.name)
                front = channel.front
                engine.report(
                    channel.edge.target,
                    NodeError(
                        f"The edge {channel.name} has stalled: {len(channel)} packets wait, the "
                        f"oldest for {now - since:.1f} s, and node {channel.edge.target!r} has "
                        "not taken any.",
                        code="edge.stalled",
                        hint="That node is stuck or far too slow.",
                    ),
                    front.stamp,
                )
