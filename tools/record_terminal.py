"""Takes a picture of a terminal program at work.

    python tools/record_terminal.py OUT.svg SECONDS COMMAND [ARG ...]

Runs the command in a pseudo-terminal of 90 x 16 characters and draws what stands on the screen
after SECONDS as SVG. Needs ``pyte`` (LGPL; for this tool only).
"""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time
from typing import Any

import pyte
from rich.console import Console
from rich.text import Text

WIDTH, HEIGHT = 90, 16


class Screen(pyte.Screen):
    """A screen that knows dim text, which pyte leaves out."""

    def select_graphic_rendition(self, *attributes: int, **settings: Any) -> None:
        super().select_graphic_rendition(*attributes, **settings)
        if 2 in attributes and "38" not in map(str, attributes):
            self.cursor.attrs = self.cursor.attrs._replace(fg="808080")


def watch(command: list[str], seconds: float) -> Screen:
    """The screen ``seconds`` after the command has started."""
    screen = Screen(WIDTH, HEIGHT)
    stream = pyte.ByteStream(screen)
    child, terminal = pty.fork()
    if child == 0:
        os.environ.update(TERM="xterm-256color", COLUMNS=str(WIDTH), LINES=str(HEIGHT))
        os.execvp(command[0], command)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", HEIGHT, WIDTH, 0, 0))
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if select.select([terminal], [], [], 0.05)[0]:
            try:
                stream.feed(os.read(terminal, 65536))
            except OSError:
                break
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return screen


def draw(screen: Screen, title: str, path: str) -> None:
    """Write the screen as SVG."""
    with open(os.devnull, "w") as nowhere:
        console = Console(record=True, width=WIDTH, file=nowhere, force_terminal=True)
        rows = [screen.buffer[row] for row in range(HEIGHT)]
        used = max((n for n in range(HEIGHT) if screen.display[n].strip()), default=0)
        for row in rows[: used + 1]:
            line = Text()
            for column in range(WIDTH):
                cell = row[column]
                colour = f"#{cell.fg}" if len(cell.fg) == 6 and cell.fg != "default" else cell.fg
                style = "bold " * cell.bold + ("" if colour == "default" else colour)
                line.append(cell.data, style.strip() or None)
            line.rstrip()
            console.print(line)
        console.save_svg(path, title=title)


def main() -> None:
    """Run."""
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    path, seconds, command = sys.argv[1], float(sys.argv[2]), sys.argv[3:]
    draw(watch(command, seconds), " ".join([os.path.basename(command[0]), *command[1:]]), path)


if __name__ == "__main__":
    main()
