"""A small real HTTP server with OpenAI's ``/chat/completions``, well-behaved or not."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


def text(piece: str) -> bytes:
    return delta({"content": piece})


def call(name: str, arguments: str, index: int = 0) -> list[bytes]:
    """A tool call in fragments, as OpenAI sends it."""
    half = len(arguments) // 2
    head = {"index": index, "id": f"call_{index}", "type": "function"}
    return [
        delta({"tool_calls": [head | {"function": {"name": name, "arguments": ""}}]}),
        delta({"tool_calls": [{"index": index, "function": {"arguments": arguments[:half]}}]}),
        delta({"tool_calls": [{"index": index, "function": {"arguments": arguments[half:]}}]}),
    ]


def delta(value: dict[str, Any]) -> bytes:
    choice = {"index": 0, "delta": value, "finish_reason": None}
    chunk = {"id": "x", "object": "chat.completion.chunk", "created": 0, "model": "m"}
    return b"data: " + json.dumps(chunk | {"choices": [choice]}).encode() + b"\n\n"


DONE = b"data: [DONE]\n\n"


class Server(ThreadingHTTPServer):
    """``plans``: for each request in turn what to send; a float waits, None breaks off.

    The last plan serves all further requests.
    """

    daemon_threads = True
    status = 200
    kind = "text/event-stream"

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.plans: list[list[Any]] = []
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.broken = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_POST(self) -> None:  # noqa: N802
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert self.path == "/v1/chat/completions"
        self.server.requests.append(body)
        self.server.keys.append(self.headers["Authorization"])
        plans = self.server.plans
        plan = plans[min(len(self.server.requests), len(plans)) - 1]
        self.send_response(self.server.status)
        self.send_header("Content-Type", self.server.kind)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            for step in plan:
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
