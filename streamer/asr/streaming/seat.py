"""A stream's place at an engine: its audio, cut into windows, and its slot."""

from __future__ import annotations

from streamer.asr.streaming.engine import StreamingEngine
from streamer.asr.streaming.session import Windows

__all__ = ["Seat"]


class Seat:
    """``close`` gives the slot back and may be called at any time.

    ``chunk`` is in encoder frames. Raises ``asr.no-slot`` if all slots are taken.
    """

    def __init__(self, engine: StreamingEngine, chunk: int) -> None:
        self._engine, self._chunk = engine, chunk
        self.windows = Windows(engine.info, chunk)
        self.lease = engine.acquire()

    def restart(self, base: float) -> None:
        """Forget what is not yet said; the next sample is at media time ``base`` (s)."""
        self.windows = Windows(self._engine.info, self._chunk)
        self.reset()

    def reset(self) -> None:
        """Forget what was heard; the windows go on."""
        self.lease = self._engine.reset(self.lease)

    def close(self) -> None:
        """Give the slot back; a batch under way is not disturbed."""
        self._engine.release(self.lease)
