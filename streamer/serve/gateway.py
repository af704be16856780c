"""One port: websockets by path, health and readiness by HTTP, bounded in every direction."""

from __future__ import annotations

import asyncio
import http
import logging
import socket
import ssl
import urllib.parse
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from streamer.errors import ModelError, NodeError, StreamerError
from streamer.serve.admission import RefusedError
from streamer.serve.auth import Keys, key_from
from streamer.serve.sessions import Sessions

__all__ = ["Client", "Gateway", "Page"]

_log = logging.getLogger("streamer.serve")


@dataclass(frozen=True, slots=True)
class Page:
    """A document served by HTTP."""

    body: Callable[[], bytes | Awaitable[bytes]]
    content_type: str
    open: bool = True
    """Whether it is shown without a key."""


@dataclass(slots=True)
class Client:
    """A websocket connection with what its request said."""

    socket: ServerConnection
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    owner: str = ""


Adapter = Callable[[Client, Sessions], Awaitable[None]]

CLOSE_TRY_AGAIN = 1013
CLOSE_POLICY = 1008
CLOSE_GOING_AWAY = 1001
CLOSE_ERROR = 1011


@dataclass
class Gateway:
    """Routes connections to wire-protocol adapters.

    ``adapters`` by path; ``pages`` by path; ``origins`` restricts browsers (None: any);
    ``tls`` for https/wss.
    """

    sessions: Sessions
    adapters: Mapping[str, Adapter]
    pages: Mapping[str, Page] = field(default_factory=dict)
    keys: Keys = field(default_factory=Keys)
    origins: frozenset[str] | None = None
    tls: ssl.SSLContext | None = None
    _server: Server | None = None

    async def start(
        self, host: str | None, port: int | None, sock: socket.socket | None = None
    ) -> int:
        """Listen there, or on ``sock``; returns the port (useful with port 0)."""
        limits = self.sessions.limits
        self._server = await serve(
            self._serve_client,
            host,
            port,
            sock=sock,
            process_request=self._process_request,
            max_size=limits.message,
            max_queue=16,
            write_limit=64 * 1024,
            compression=None,
            ping_interval=20,
            ping_timeout=20,
            open_timeout=10,
            close_timeout=5,
            ssl=self.tls,
            server_header=None,
        )
        return 0 if sock is not None else int(self._server.sockets[0].getsockname()[1])

    async def stop(self, grace: float = 10.0) -> None:
        """Refuse newcomers, let every session finish what it was sent, close."""
        if self._server is None:
            return
        self._server.close(close_connections=False)
        await self.sessions.drain(grace)
        try:
            async with asyncio.timeout(2.0):
                await self._server.wait_closed()
        except TimeoutError:
            left = list(self._server.connections)
            await asyncio.gather(*(c.close(CLOSE_GOING_AWAY, "shutting down") for c in left))
            await self._server.wait_closed()

    # -- HTTP --------------------------------------------------------------------------------

    async def _process_request(
        self, connection: ServerConnection, request: Request
    ) -> Response | None:
        target = urllib.parse.urlsplit(request.path)
        headers = request.headers
        if target.path == "/health":
            return _answer(http.HTTPStatus.OK, b"ok\n")
        if target.path == "/ready":
            full = self.sessions.admission.active >= self.sessions.limits.sessions
            if full or self.sessions.admission.closed:
                return _answer(http.HTTPStatus.SERVICE_UNAVAILABLE, b"full\n", retry=1)
            return _answer(http.HTTPStatus.OK, b"ready\n")
        query = dict(urllib.parse.parse_qsl(target.query))
        page = self.pages.get(target.path)
        if page is not None and "Upgrade" not in headers:
            if not page.open and self.keys.owner(key_from(headers, query)) is None:
                return _unauthorized()
            body = page.body()
            content = body if isinstance(body, bytes) else await body
            return _answer(http.HTTPStatus.OK, content, page.content_type)
        if target.path not in self.adapters:
            return _answer(http.HTTPStatus.NOT_FOUND, b"There is nothing at this path.\n")
        origin = headers.get("Origin")
        if self.origins is not None and origin is not None and origin not in self.origins:
            return _answer(http.HTTPStatus.FORBIDDEN, b"This origin is not allowed.\n")
        if self.keys.owner(key_from(headers, query)) is None:
            return _unauthorized()
        admission = self.sessions.admission
        if admission.closed or (
            admission.active >= admission.limit and admission.waiting >= admission.queue
        ):
            admission.refused += 1
            message = f"All {admission.limit} sessions are in use.\n".encode()
            return _answer(http.HTTPStatus.SERVICE_UNAVAILABLE, message, retry=2)
        return None

    # -- websockets --------------------------------------------------------------------------

    async def _serve_client(self, socket: ServerConnection) -> None:
        request = socket.request
        assert request is not None
        target = urllib.parse.urlsplit(request.path)
        query = dict(urllib.parse.parse_qsl(target.query))
        owner = self.keys.owner(key_from(request.headers, query)) or ""
        client = Client(socket, target.path, query, request.headers, owner)
        limits = self.sessions.limits
        try:
            async with asyncio.timeout(limits.total):
                await self.adapters[target.path](client, self.sessions)
        except RefusedError as error:
            await socket.close(CLOSE_TRY_AGAIN, _reason(error))
        except TimeoutError:
            await socket.close(CLOSE_POLICY, f"A session may last {limits.total:g} s.")
        except StreamerError as error:
            ours = isinstance(error, NodeError | ModelError)
            await socket.close(CLOSE_ERROR if ours else CLOSE_POLICY, _reason(error))
        except ConnectionClosed:
            pass
        except Exception:
            _log.exception("a session failed")
            await socket.close(CLOSE_ERROR, "internal error")


def _reason(error: StreamerError) -> str:
    """A close reason, the code first: at most 123 bytes."""
    return f"{error.code}: {error.message} {error.hint}".encode()[:120].decode(errors="ignore")


def _answer(
    status: http.HTTPStatus, body: bytes, kind: str = "text/plain; charset=utf-8", retry: int = 0
) -> Response:
    headers = Headers(
        {
            "Content-Type": kind,
            "Content-Length": str(len(body)),
            "Connection": "close",
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
            "img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
            "frame-ancestors 'none'",
        }
    )
    if retry:
        headers["Retry-After"] = str(retry)
    return Response(status.value, status.phrase, headers, body)


def _unauthorized() -> Response:
    response = _answer(http.HTTPStatus.UNAUTHORIZED, b"A key is needed.\n")
    response.headers["WWW-Authenticate"] = "Bearer"
    return response
