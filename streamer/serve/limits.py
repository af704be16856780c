"""What one server and one session may use."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Limits"]


class Limits(BaseModel):
    """Bounds of the gateway; all of them can be set on the command line."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sessions: int = Field(default=64, ge=1, description="sessions at once")
    queue: int = Field(default=16, ge=0, description="connections that may wait for a session")
    wait: float = Field(
        default=2.0, ge=0, description="seconds a connection may wait for a session"
    )
    idle: float = Field(
        default=30.0, gt=0, description="seconds without any message before closing"
    )
    total: float = Field(default=4 * 3600, gt=0, description="seconds a session may last")
    ahead: float = Field(default=5.0, gt=0, description="seconds of audio a client may be ahead")
    speed: float = Field(
        default=0.0, ge=0, description="audio seconds a second that a client may send; 0: unlimited"
    )
    audio: float = Field(
        default=0.0, ge=0, description="audio seconds a session may send; 0: unlimited"
    )
    message: int = Field(default=1 << 20, ge=1024, description="bytes of one message")
    json_depth: int = Field(default=8, ge=2, description="nesting of a client's JSON")
    resume: float = Field(
        default=10.0, ge=0, description="seconds a dropped session waits to be resumed"
    )
