"""Dictation on the engine."""

from __future__ import annotations

from streamer.graph import Out, Source
from streamer.graph.virtual import run
from streamer.nodes.text_dictation import TextDictation
from streamer.packets import Stamp, Transcript
from tests.nodes.graphs import chain


class Say(Source):
    """Two utterances, each with a partial."""

    out: Out[Transcript]

    async def run(self) -> None:
        for index, text in enumerate(["dear Ann comma new line", "thanks full stop"]):
            for final in (False, True):
                said = Transcript(text, index, index + 0.9, segment=index, final=final)
                await self.out.send(said, Stamp(position=(index + 1) * 16000))


def test_lines_are_finals_with_the_times_of_what_was_said() -> None:
    engine, got = chain((Say, {}), (TextDictation, {}))
    run(engine.run())
    sent = [value for value, _ in got]
    finals = [(t.text, t.start, t.end, t.segment) for t in sent if t.final]
    assert finals == [("Dear Ann,", 0, 0.9, 0), ("Thanks.", 0.9, 1.9, 1)]
    assert [t.text for t in sent if not t.final] == ["Dear Ann,", "Thanks.", "Thanks."]
    assert [t.revision for t in sent if t.segment == 1] == [0, 1, 2]
    assert all(t.stable_len == (len(t.text) if t.final else 0) for t in sent)
