"""What a client that comes back is sent again."""

from __future__ import annotations

import json
from typing import Any

from streamer.serve.replay import Replay


def partial(segment: int, text: str) -> dict[str, Any]:
    return {"type": "partial", "segment": segment, "text": text}


def final(segment: int) -> dict[str, Any]:
    return {"type": "final", "segment": segment, "text": "done"}


def kept(replay: Replay, seq: int = 0) -> list[tuple[int, str]]:
    found = [(number, json.loads(text)) for number, text in replay.after(seq)]
    assert all(number == message["seq"] for number, message in found)
    return [(message["seq"], message.get("text", message["type"])) for _, message in found]


def test_messages_are_numbered_and_come_again_in_order() -> None:
    replay = Replay()
    sent = [replay.add(m) for m in (final(0), {"type": "speech"}, final(1))]
    assert [json.loads(text)["seq"] for text in sent] == [1, 2, 3]
    assert kept(replay) == [(1, "done"), (2, "speech"), (3, "done")]
    assert kept(replay, 2) == [(3, "done")] and kept(replay, 3) == []


def test_a_partial_goes_when_its_segment_has_something_newer() -> None:
    replay = Replay()
    for message in (partial(0, "a"), partial(0, "a b"), partial(1, "c"), {"type": "speech"},
                    partial(1, "c d"), final(1), final(1)):  # fmt: skip
        replay.add(message)
    assert kept(replay) == [(2, "a b"), (3, "c"), (4, "speech"), (6, "done"), (7, "done")]


def test_no_more_than_its_capacity_is_kept() -> None:
    replay = Replay(capacity=3)
    for segment in range(5):
        replay.add(final(segment))
    assert kept(replay) == [(3, "done"), (4, "done"), (5, "done")]
