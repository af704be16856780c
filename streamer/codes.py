"""What each error code means, for ``streamer explain CODE`` and the documentation.

A test holds this list and the codes used in the source to be the same set.
"""

from __future__ import annotations

__all__ = ["EXPLANATIONS"]

EXPLANATIONS: dict[str, str] = {
    # -- node and graph at run time
    "node.failed": (
        "A node raised an error while it worked on a packet and its restart policy allows no "
        "further attempt. The message names the node and the media time of the packet."
    ),
    "edge.overflow": (
        "An edge with `when_full: error` was full. Its reader is too slow: give the edge a larger "
        "`max`, choose another policy, or make the reader faster."
    ),
    "edge.stalled": (
        "Data waited on an edge without anybody taking it. The message names the edge and the "
        "node that should have read it."
    ),
    # -- served sessions
    "session.no-client": (
        "The graph has a `source.session` or `sink.session` node and was started without the "
        "gateway. Run it with `streamer serve`."
    ),
    "session.slow-reader": (
        "A client of the gateway did not read its messages and too many were waiting. Partials "
        "are merged before this happens, so the connection is as good as dead."
    ),
}
