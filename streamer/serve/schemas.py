"""The messages of the native protocol as types, and their JSON Schema.

The server reads what clients send with the models here, and a test holds what it sends to them.
``python -m streamer.serve.schemas`` prints docs/protocol.schema.json.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from streamer.serve.formats import FORMATS

__all__ = ["VERSION", "Mark", "Order", "Resume", "Start", "schema"]

VERSION = 1

Index = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(ge=0)]
Milliseconds = float
Sequence = Annotated[int, Field(ge=1)]


class _FromClient(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Resume(_FromClient):
    """Which session to take up again and the last ``seq`` that arrived."""

    session: str = Field(max_length=64)
    seq: Index


class Start(_FromClient):
    """The first message of a client."""

    type: Literal["start"]
    version: int = VERSION
    format: str = Field("s16le", max_length=40, json_schema_extra={"enum": [*FORMATS]})
    rate: int = 16000
    channels: int = 1
    resume: Resume | None = None


class Mark(_FromClient):
    """Finish everything sent before it; answered by the same mark."""

    type: Literal["mark"]
    id: str = Field(max_length=64)


class KeepAlive(_FromClient):
    """Nothing, but not idle."""

    type: Literal["keep_alive"]


class End(_FromClient):
    """No more audio."""

    type: Literal["end"]


Order = Annotated[Mark | KeepAlive | End, Field(discriminator="type")]
"""What a client may send behind its start."""


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Numbered(_Closed):
    seq: Sequence


class Ready(_Closed):
    """The session is open, or open again. ``received``: bytes of audio taken in."""

    type: Literal["ready"]
    version: int
    session: str
    received: Index
    time: float


class Speech(_Numbered):
    """Speech began, paused or ended; times in seconds of media."""

    type: Literal["speech"]
    state: Literal["start", "pause", "end"]
    start: Seconds
    end: Seconds | None
    latency_ms: Milliseconds


class Event(_Numbered):
    """A keyword, sound, tone or level was heard; times in seconds of media."""

    type: Literal["event"]
    detector: str
    label: str
    state: Literal["start", "end", "instant"]
    start: float
    end: float | None
    confidence: float
    latency_ms: Milliseconds


class Word(_Closed):
    """A word with its times (s) and how sure it is."""

    text: str
    start: float
    end: float
    confidence: Annotated[float, Field(ge=0, le=1)]


class _Transcript(_Numbered):
    segment: Index
    revision: Index
    text: str
    stable_len: Index
    start: float
    end: float
    words: list[Word]
    latency_ms: Milliseconds


class Partial(_Transcript):
    """What is heard so far; ``text[:stable_len]`` will not change."""

    type: Literal["partial"]


class Final(_Transcript):
    """What was said in the segment; it will not change."""

    type: Literal["final"]


class Marked(_Numbered):
    """Everything sent before the mark has been worked off."""

    type: Literal["mark"]
    id: str


class Done(_Numbered):
    """All has been told. ``audio``: seconds taken in."""

    type: Literal["done"]
    audio: Seconds


class Error(_Closed):
    """What went wrong; then the connection is closed."""

    type: Literal["error"]
    code: str
    message: str
    hint: str


class Failure(Error):
    """The graph failed; numbered, for it comes behind everything else."""

    seq: Sequence


FromClient = Start | Mark | KeepAlive | End
FromServer = Ready | Speech | Event | Partial | Final | Marked | Done | Failure | Error


def schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of both directions: ``#/$defs/client`` and ``#/$defs/server``."""
    definitions: dict[str, Any] = {}
    unions: dict[str, Any] = {"client": FromClient, "server": FromServer}
    for name, union in unions.items():
        made = TypeAdapter[Any](union).json_schema(ref_template="#/$defs/{model}")
        definitions |= made.pop("$defs")
        definitions[name] = made
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"The native protocol of streamer, version {VERSION}",
        "description": "A message of the client or of the server; binary messages are audio.",
        "anyOf": [{"$ref": "#/$defs/client"}, {"$ref": "#/$defs/server"}],
        "$defs": dict(sorted(definitions.items())),
    }


if __name__ == "__main__":
    import sys

    sys.stdout.write(json.dumps(schema(), indent=2) + "\n")
