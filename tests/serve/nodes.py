"""A served graph without speech: what comes in is counted and told back."""

from __future__ import annotations

from streamer.graph import Edge, GraphPlan, In, Node, NodePlan, Out, QueueSpec
from streamer.nodes.session import SinkSession, SourceSession
from streamer.packets import AudioFrame, Transcript


class CountWords(Node):
    """One partial per frame, a final every tenth, at a mark and at the end."""

    audio: In[AudioFrame]
    out: Out[Transcript]

    async def start(self) -> None:
        self.segment = self.frames = self.revision = 0
        self.total = 0

    async def process(self, frame: AudioFrame) -> None:
        self.frames += 1
        self.total += frame.samples.shape[0]
        if self.frames == 10:
            await self.final()
        else:
            self.revision += 1
            await self.out.send(self.say())

    def say(self, *, final: bool = False) -> Transcript:
        text = f"segment {self.segment} samples {self.total}"
        return Transcript(
            text, 0.0, 1.0, self.segment, self.revision, len(text) if final else 0, final
        )

    async def final(self) -> None:
        self.revision += 1
        await self.out.send(self.say(final=True))
        self.segment += 1
        self.frames = self.revision = 0

    async def on_mark(self, mark: str) -> None:
        if self.frames:
            await self.final()

    async def finish(self) -> None:
        await self.on_mark("")


def counting_plan(node: type[Node] = CountWords) -> GraphPlan:
    classes: dict[str, type[Node]] = {"in": SourceSession, "count": node, "out": SinkSession}
    nodes = {name: NodePlan(name, cls, cls.Config()) for name, cls in classes.items()}
    edges = []
    for (left, out), (right, inp) in [
        (("in", "audio"), ("count", "audio")),
        (("count", "out"), ("out", "events")),
    ]:
        edges.append(
            Edge(
                left,
                classes[left].ports()[1][out],
                right,
                classes[right].ports()[0][inp],
                QueueSpec(1.0),
            )
        )
    return GraphPlan("counting", nodes, edges)
