"""``sink.terminal``: live captions on the screen."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.live import Live
from rich.text import Text

from streamer.captions.output import output_error
from streamer.graph import In, Node
from streamer.packets import AudioEvent, Transcript

__all__ = ["SinkTerminal"]

REFRESH_NS = 66_000_000
"""At most fifteen pictures a second."""


class _Screen(Console):
    """Tells the node of a closed pipe; rich's own console ends the whole program."""

    def on_broken_pipe(self) -> None:
        try:
            super().on_broken_pipe()
        except SystemExit:
            raise BrokenPipeError(errno.EPIPE, "Broken pipe") from None


class SinkTerminal(Node):
    """Finals and events scroll up; below are the words of the moment: stable solid, others dim.

    The latency shown is the age of the newest sample that the words were made from. Where
    standard output is not a terminal, finals are printed as lines of text.
    """

    kind = "sink.terminal"
    transcript: In[Transcript | AudioEvent] = In(many=True)

    console: Console | None = None
    """Where to draw; None: standard output."""

    async def start(self) -> None:
        self._console = self.console or _Screen(file=sys.stdout, highlight=False)
        self._live: Live | None = None
        self._drawn_ns = 0
        if self._console.is_terminal:
            self._live = Live(Text(""), console=self._console, auto_refresh=False, transient=True)
            await self.ctx.call(self._live.start)

    async def process(self, transcript: Transcript | AudioEvent) -> None:
        age = (self.ctx.now_ns() - self.ctx.stamp.captured_ns) / 1e9
        if isinstance(transcript, AudioEvent):
            await self.ctx.call(self._write, self._print_event, transcript)
        elif transcript.final:
            await self.ctx.call(self._write, self._print_final, transcript, age)
        elif self._live is not None and self.ctx.now_ns() - self._drawn_ns >= REFRESH_NS:
            self._drawn_ns = self.ctx.now_ns()
            await self.ctx.call(self._write, self._draw, self._line(transcript, age))

    async def close(self) -> None:
        live: Any = getattr(self, "_live", None)
        if live is not None:
            self._live = None
            await self.ctx.call(live.stop)

    # -- on a worker thread: a stopped terminal must not stop the graph -----------------------

    def _write(self, show: Callable[..., None], *args: Any) -> None:
        try:
            show(*args)
        except OSError as error:
            self._console.quiet = True
            raise output_error("standard output", error) from error

    def _print_final(self, transcript: Transcript, age: float) -> None:
        if self._live is None:
            if transcript.text:
                self._console.print(Text(transcript.text), soft_wrap=True)
            return
        self._live.update(Text(""), refresh=True)
        if transcript.text:
            minutes, seconds = divmod(transcript.start, 60)
            head = Text(f"{int(minutes):02}:{seconds:04.1f}  ", style="cyan")
            self._console.print(
                Text.assemble(head, transcript.text, (f"  {age:.1f} s", "dim")), soft_wrap=False
            )

    def _print_event(self, event: AudioEvent) -> None:
        at = event.end if event.state == "end" and event.end is not None else event.start
        minutes, seconds = divmod(at, 60)
        state = "" if event.state == "instant" else f" {event.state}"
        self._console.print(
            Text.assemble(
                (f"{int(minutes):02}:{seconds:04.1f}  ", "cyan"),
                (f"[{event.detector}: {event.label}{state}]", "yellow"),
                (f"  {event.confidence:.2f}", "dim"),
            ),
            soft_wrap=True,
        )

    def _draw(self, line: Text) -> None:
        if self._live is not None:
            self._live.update(line, refresh=True)

    def _line(self, transcript: Transcript, age: float) -> Text:
        """The end of the text that fits into two lines."""
        tail = f"  {age:.1f} s"
        room = max(10, 2 * self._console.width - cell_len(tail) - 4)
        stable, unstable = transcript.stable, transcript.unstable
        cut = 0
        while cell_len(stable[cut:]) + cell_len(unstable) > room and cut < len(stable):
            cut = (stable.find(" ", cut) + 1) or len(stable)
        lead = "… " if cut else "▸ "
        return Text.assemble(
            (lead, "cyan"), (stable[cut:], "bold"), (unstable, "dim"), (tail, "dim")
        )
