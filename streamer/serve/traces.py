"""The sessions of a service as OpenTelemetry spans."""

from __future__ import annotations

from typing import Any

from opentelemetry.trace import Tracer

from streamer.packets import Stamp
from streamer.serve.sessions import Session, Sessions
from streamer.trace.otel import SessionSpans

__all__ = ["Traces"]


class Traces:
    """Watches the sessions that are opened from now on."""

    def __init__(self, sessions: Sessions, tracer: Tracer) -> None:
        self._tracer = tracer
        self._spans: dict[str, SessionSpans] = {}
        sessions.keep_spans = True
        sessions.watchers.append(self)

    def opened(self, session: Session) -> None:
        engine = session.engine
        self._spans[session.id] = SessionSpans(
            self._tracer, engine.recorder, engine.plan.name, session.id
        )

    def arrived(self, session: Session, value: Any, stamp: Stamp) -> None:
        self._spans[session.id].arrived(value, stamp)

    def closed(self, session: Session) -> None:
        self._spans.pop(session.id).end(
            session.failure, outcome=session.outcome, audio_s=session.audio
        )
