"""A small real HTTP server with OpenAI's ``/audio/speech``, well-behaved or not."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

TONE = (np.sin(np.arange(24000) * 0.05) * 20000).astype("<i2")


class Server(ThreadingHTTPServer):
    """``plan``: pieces to send; a number waits so many seconds, None breaks off."""

    daemon_threads = True
    plan: list[Any]
    status = 200

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[tuple[dict[str, Any], str | None]] = []
        self.broken = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1/"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_POST(self) -> None:  # noqa: N802
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append((body | {"path": self.path}, self.headers["Authorization"]))
        self.send_response(self.server.status)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            for step in self.server.plan:
                if step is None:
                    self.close_connection = True
                    return
                if isinstance(step, float):
                    time.sleep(step)
                else:
                    self.wfile.write(f"{len(step):x}\r\n".encode() + step + b"\r\n")
            self.wfile.write(b"0\r\n\r\n")
        except OSError:
            self.server.broken.set()

    def log_message(self, *args: object) -> None:
        pass


@contextlib.contextmanager
def running() -> Iterator[Server]:
    """A server until the block ends."""
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
