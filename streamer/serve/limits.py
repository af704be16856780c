"""What one server and one session may use."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Limits"]


class Limits(BaseModel):
    """Bounds of the gateway; all of them can be set on the command line."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sessions: int = Field(64, ge=1, description="sessions at once")
    queue: int = Field(16, ge=0, description="connections that may wait for a session")
    wait: float = Field(2.0, ge=0, description="seconds a connection may wait for a session")
    idle: float = Field(30.0, gt=0, description="seconds without any message before closing")
    total: float = Field(4 * 3600, gt=0, description="seconds a session may last")
    ahead: float = Field(5.0, gt=0, description="seconds of audio a client may be ahead")
    speed: float = Field(
        0.0, ge=0, description="audio seconds a second that a client may send; 0: unlimited"
    )
    audio: float = Field(0.0, ge=0, description="audio seconds a session may send; 0: unlimited")
    message: int = Field(1 << 20, ge=1024, description="bytes of one message")
    json_depth: int = Field(8, ge=2, description="nesting of a client's JSON")
    resume: float = Field(10.0, ge=0, description="seconds a dropped session waits to be resumed")
