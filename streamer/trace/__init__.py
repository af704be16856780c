"""Where time went. Knows packets, not nodes."""

from streamer.trace.chrome import trace_events, write_chrome_trace
from streamer.trace.histogram import Histogram
from streamer.trace.recorder import AGE, BLOCKED, WAIT, WORK, Recorder, Span, Track

__all__ = [
    "AGE",
    "BLOCKED",
    "WAIT",
    "WORK",
    "Histogram",
    "Recorder",
    "Span",
    "Track",
    "trace_events",
    "write_chrome_trace",
]
