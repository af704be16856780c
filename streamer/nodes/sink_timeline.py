"""``sink.timeline``: when what happened in a dialogue, in milliseconds since the end of speech."""

from __future__ import annotations

from statistics import median

from pydantic import Field

from streamer.captions.output import RecordFile
from streamer.graph import In, Node, NodeConfig
from streamer.packets import Played, ReplyText, UserTurn

__all__ = ["SinkTimeline"]


class SinkTimeline(Node):
    """Prints each turn: end of speech, turn decided, first token, first audio, what was heard.

    The last line is the median over all turns: `voice-to-voice: N ms`, from the end of the
    speech in the audio to the first sample played.
    """

    kind = "sink.timeline"
    turn: In[UserTurn]
    reply: In[ReplyText]
    played: In[Played]

    class Config(NodeConfig):
        path: str = Field("-", description="the file, overwritten; - is standard output")

    _file: RecordFile | None = None

    async def start(self) -> None:
        self._turn = -1
        self._ended = 0
        """Clock time (ns) of the end of the newest turn's speech."""
        self._token = False
        self._latencies: list[int] = []
        self._file = await self.ctx.call(RecordFile, self.config.path)

    async def process_turn(self, turn: UserTurn) -> None:
        self._turn, self._token = turn.index, False
        self._ended = self.ctx.stamp.captured_ns
        decided = self._since()
        await self._write(f'turn {turn.index}: "{turn.text}"')
        await self._write(f"  end of speech  {0:6d} ms  (at {turn.end:.2f} s)")
        await self._write(f"  turn decided   {decided:6d} ms  ({turn.reason})")

    async def process_reply(self, reply: ReplyText) -> None:
        if reply.turn == self._turn and reply.text and not self._token:
            self._token = True
            await self._write(f"  first token    {self._since():6d} ms")

    async def process_played(self, played: Played) -> None:
        if played.state == "start" and played.turn == self._turn:
            self._latencies.append(self._since())
            await self._write(f"  first audio    {self._latencies[-1]:6d} ms")
        elif played.state in ("done", "interrupted"):
            await self._write(f'  {played.state} after {played.seconds:.2f} s: "{played.text}"')

    async def finish(self) -> None:
        if self._latencies:
            await self._write(f"voice-to-voice: {round(median(self._latencies))} ms")

    async def close(self) -> None:
        if self._file is not None:
            file, self._file = self._file, None
            await self.ctx.call(file.close)

    def _since(self) -> int:
        return round((self.ctx.now_ns() - self._ended) / 1e6)

    async def _write(self, line: str) -> None:
        assert self._file is not None
        await self.ctx.call(self._file.append, line + "\n")
