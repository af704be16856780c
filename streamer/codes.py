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
    # -- the gateway
    "serve.full": "All sessions of the server are in use. Ask again after the time it names.",
    "serve.keys": "The file of API keys cannot be read, or a line of it is not `name sha256`.",
    "serve.audio": "The session has sent as much audio as the server allows one session.",
    "serve.bad-format": (
        "The audio is not what the client said it is, or its format is not served. A wrong sample "
        "rate or sample type is refused, since it would be transcribed as noise."
    ),
    "serve.bad-message": "A message is not JSON, nests too deep, or is not part of the protocol.",
    "serve.no-start": "The native protocol begins with a `start` message; none came.",
    "serve.no-session": "The session to resume has ended, or was dropped too long ago.",
    "serve.version": "The client speaks another version of the native protocol.",
    "serve.idle": "The client sent nothing for longer than the server waits.",
}
