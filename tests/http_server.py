"""A small real HTTP server that answers as planned, well-behaved or not."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Server(ThreadingHTTPServer):
    """``plans``: for each request in turn what to send; a float waits, None breaks off.

    The last plan serves all further requests.
    """

    daemon_threads = True

    def __init__(self, kind: str = "") -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.kind = kind
        self.status = 200
        self.plans: list[list[Any]] = []
        self.requests: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.keys: list[str | None] = []
        self.broken = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_POST(self) -> None:  # noqa: N802
        server = self.server
        server.requests.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        server.paths.append(self.path)
        server.keys.append(self.headers["Authorization"])
        self.send_response(server.status)
        if server.kind:
            self.send_header("Content-Type", server.kind)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            for step in server.plans[min(len(server.requests), len(server.plans)) - 1]:
                if step is None:
                    self.close_connection = True
                    return
                if isinstance(step, float):
                    time.sleep(step)
                else:
                    self.wfile.write(f"{len(step):x}\r\n".encode() + step + b"\r\n")
            self.wfile.write(b"0\r\n\r\n")
        except OSError:
            server.broken.set()

    def log_message(self, *args: object) -> None:
        pass


@contextlib.contextmanager
def running(kind: str = "") -> Iterator[Server]:
    """A server until the block ends; ``kind`` is its content type."""
    server = Server(kind)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
