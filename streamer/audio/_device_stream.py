"""What an open PortAudio stream needs beside asyncio, whichever way the sound goes."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

__all__ = ["DeviceStream"]


class DeviceStream:
    """Holds the stream, wakes the event loop from the device's thread, closes once.

    ``backend`` stands in for the ``sounddevice`` module.
    """

    _loop: asyncio.AbstractEventLoop

    def __init__(self, backend: Any = None) -> None:
        self._backend = backend
        self._stream: Any = None
        self._finished = False
        self._news = asyncio.Event()

    async def close(self) -> None:
        """Stop and release the device; may be called twice."""
        if self._stream is not None:
            await asyncio.get_running_loop().run_in_executor(None, self._close)

    def _close(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            with contextlib.suppress(self._backend.PortAudioError):
                stream.close()

    # -- on PortAudio's thread ---------------------------------------------------------------

    def _on_finished(self) -> None:
        self._finished = True
        self._wake()

    def _wake(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has been closed
            self._loop.call_soon_threadsafe(self._news.set)
