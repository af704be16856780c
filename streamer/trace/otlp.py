"""Sends spans to a collector: OTLP over HTTP. Needs the extra ``streamer[otel]``.

https://opentelemetry.io/docs/specs/otlp/#otlphttp
"""

from __future__ import annotations

import os
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Tracer

from streamer.errors import InputError

__all__ = ["collector"]

_PATH = "/v1/traces"


@contextmanager
def collector(endpoint: str) -> Iterator[Tracer]:
    """A tracer whose spans go to the collector at ``endpoint``, such as http://localhost:4318.

    They are sent by a thread, and the rest at the end of the block, which may take 5 s if nobody
    answers. A collector that is away costs spans and a line in the log, nothing else. Headers,
    compression and further attributes come from the standard ``OTEL_`` environment variables.
    """
    parts = urllib.parse.urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise InputError(
            f"{endpoint!r} is not the address of a collector.",
            code="otel.endpoint",
            hint="Write it like http://localhost:4318.",
        )
    base = parts.path.rstrip("/")
    url = parts._replace(path=base if base.endswith(_PATH) else base + _PATH).geturl()
    name = os.environ.get("OTEL_SERVICE_NAME", "streamer")
    provider = TracerProvider(resource=Resource.create({"service.name": name}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(url, timeout=5)))
    try:
        yield provider.get_tracer("streamer")
    finally:
        provider.shutdown()
