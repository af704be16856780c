"""streamer: speech in, captions, events and spoken answers out, as a graph of small nodes."""

__version__ = "0.1.0"
