"""``source.text``: a text to be spoken, from the settings or from standard input."""

from __future__ import annotations

import asyncio
import codecs
import sys
import threading
from typing import BinaryIO

from streamer.graph import Out, Source
from streamer.graph.node import NodeConfig
from streamer.packets import ReplyText, Stamp

__all__ = ["SourceText"]


class SourceText(Source):
    """One answer: the text given, or with `-` what standard input brings, as it comes.

    Standard input is UTF-8; bytes that are not become U+FFFD.
    """

    kind = "source.text"
    text: Out[ReplyText]

    class Config(NodeConfig):
        text: str

    async def run(self) -> None:
        if self.config.text == "-":
            await self._read()
        else:
            await self._send(self.config.text)
        await self._send("", last=True)

    async def _read(self) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        queue: asyncio.Queue[bytes] = asyncio.Queue(8)
        # A thread of its own, since nothing can wake a thread that waits on a silent pipe.
        threading.Thread(
            target=_pump,
            args=(sys.stdin.buffer, queue, asyncio.get_running_loop()),
            name="stdin",
            daemon=True,
        ).start()
        stopping = asyncio.create_task(self.ctx.stopping.wait())
        try:
            while True:
                getting = asyncio.create_task(queue.get())
                await asyncio.wait({getting, stopping}, return_when=asyncio.FIRST_COMPLETED)
                if not getting.done():
                    getting.cancel()
                    return
                data = getting.result()
                if text := decoder.decode(data, final=not data):
                    await self._send(text)
                if not data:
                    return
        finally:
            stopping.cancel()

    async def _send(self, text: str, last: bool = False) -> None:
        stamp = Stamp(
            self.ctx.session, captured_ns=self.ctx.now_ns(), generation=self.ctx.generation
        )
        await self.text.send(ReplyText(0, text, last), stamp)


def _pump(stream: BinaryIO, queue: asyncio.Queue[bytes], loop: asyncio.AbstractEventLoop) -> None:
    read = getattr(stream, "read1", stream.read)
    data = b"more"
    while data:
        data = read(4096)
        put = queue.put(data)
        try:
            asyncio.run_coroutine_threadsafe(put, loop).result()
        except RuntimeError:  # the loop has been closed
            put.close()
            return
