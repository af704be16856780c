"""The option ``--otel``: where spans go, if anywhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from streamer.errors import StreamerError

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

__all__ = ["Otel", "tracer_for"]

Otel = Annotated[
    str,
    typer.Option(
        envvar="OTEL_EXPORTER_OTLP_ENDPOINT",
        metavar="URL",
        help="Send spans to this OpenTelemetry collector, such as http://localhost:4318.",
    ),
]


@contextmanager
def tracer_for(endpoint: str) -> Iterator[Tracer | None]:
    """The tracer for ``endpoint``; None for none."""
    if not endpoint:
        yield None
        return
    try:
        from streamer.trace.otlp import collector
    except ImportError as error:
        raise StreamerError(
            "Sending spans needs OpenTelemetry, which is not installed.",
            code="otel.not-installed",
            hint="pip install 'streamer[otel]', or leave --otel out.",
        ) from error
    with collector(endpoint) as tracer:
        yield tracer
