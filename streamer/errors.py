"""One error tree; every error carries a stable code and says what to do.

    StreamerError
    ├── InputError     what came in cannot be used (a file, a stream, a sample format)
    ├── DeviceError    a microphone or speaker is missing, busy or went away
    ├── ModelError     a model is missing, damaged, or does not fit the graph
    ├── GraphError     the graph itself is wrong; holds every problem found
    ├── NodeError      a node failed while running and its restart policy gave up
    └── OutputError    a result cannot be written

Codes are dotted, lower-case and never reused; :mod:`streamer.codes` explains each.
"""

from __future__ import annotations

__all__ = [
    "DeviceError",
    "GraphError",
    "InputError",
    "ModelError",
    "NodeError",
    "OutputError",
    "StreamerError",
]


class StreamerError(Exception):
    """Base of all errors a user may see.

    ``message`` is one clear sentence, ``hint`` says what to do, ``code`` is stable and
    can be looked up with ``streamer explain CODE``.
    """

    exit_code = 1
    shown = False
    """Whether the user has seen it already, so that the command line does not say it twice."""

    def __init__(self, message: str, *, code: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.hint = hint

    def __str__(self) -> str:
        hint = f" {self.hint}" if self.hint else ""
        return f"{self.message}{hint} [{self.code}]"


class InputError(StreamerError):
    """What came in cannot be used: a missing file, a file without sound, NaN samples."""

    exit_code = 3


class DeviceError(StreamerError):
    """An audio device is missing, busy, or was unplugged."""

    exit_code = 4


class ModelError(StreamerError):
    """A model is missing, damaged, or does not fit where it is used."""

    exit_code = 5


class GraphError(StreamerError):
    """A graph that cannot run."""

    exit_code = 2


class NodeError(StreamerError):
    """A node failed while running and its restart policy gave up."""

    exit_code = 6


class OutputError(StreamerError):
    """A result cannot be written: disk full, no permission."""

    exit_code = 7
