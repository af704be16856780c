"""The whole service: gateway, adapters, metrics, Wyoming, and its end."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import socket
import ssl
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from streamer.errors import InputError
from streamer.graph import Engine, GraphPlan, Resources
from streamer.nodes.session import SessionPort
from streamer.serve.auth import Keys
from streamer.serve.deepgram import deepgram
from streamer.serve.gateway import Gateway
from streamer.serve.handed import Handed
from streamer.serve.limits import Limits
from streamer.serve.native import Native
from streamer.serve.openai import openai
from streamer.serve.page import pages
from streamer.serve.peers import Peers
from streamer.serve.sessions import Sessions
from streamer.serve.sherpa import sherpa
from streamer.serve.vosk import vosk

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

    from streamer.serve.measures import Measures

__all__ = ["Settings", "serve", "serve_handed"]


@dataclass(frozen=True)
class Settings:
    """Where and how to listen."""

    host: str = "127.0.0.1"
    port: int = 8765
    wyoming_port: int | None = None
    limits: Limits = field(default_factory=Limits)
    keys: Keys = field(default_factory=Keys)
    origins: frozenset[str] | None = None
    certificate: Path | None = None
    private_key: Path | None = None
    grace: float = 10.0
    """Seconds that sessions have to finish at the end."""
    languages: tuple[str, ...] = ("en",)
    tracer: Tracer | None = None
    """Where the sessions go as spans, if anywhere."""
    peers: Peers | None = None
    """The other processes of this service, if there are any."""


@contextlib.asynccontextmanager
async def serve(
    plan: GraphPlan, settings: Settings, sock: socket.socket | None = None
) -> AsyncIterator[tuple[Gateway, int]]:
    """Serve ``plan`` until the block ends, then drain; yields the gateway and its port.

    ``sock`` listens already; without it the service listens where ``settings`` say.
    """
    async with Resources().lifetime() as resources, contextlib.AsyncExitStack() as stack:
        peers = settings.peers
        sessions = Sessions(plan, settings.limits, resources, peers.name if peers else str)
        native = Native(peers)
        if settings.tracer is not None:
            from streamer.serve.traces import Traces

            Traces(sessions, settings.tracer)
        shown = pages(sessions)
        measures = _measures(sessions)
        if measures is not None:
            own = measures.page()
            shown |= {"/metrics": replace(own, body=peers.metrics) if peers else own}
        gateway = Gateway(
            sessions,
            {
                "/v1/stream": native,
                "/vosk": vosk,
                "/sherpa": sherpa,
                "/": sherpa,  # its client program knows no path
                "/v1/realtime": openai,
                "/v1/listen": deepgram,
            },
            pages=shown,
            keys=settings.keys,
            origins=settings.origins,
            tls=_tls(settings),
        )
        await _warm_up(plan, resources)
        _settle(stack)
        if peers is not None:
            inner = Gateway(sessions, {"/v1/stream": native})
            if measures is not None:
                inner.pages = {"/metrics": measures.page()}
            await inner.start(None, None, peers.listen())
            stack.push_async_callback(inner.stop)
        if sock is None:
            port = await gateway.start(settings.host, settings.port)
        else:
            port = await gateway.start(None, None, sock)
        if settings.wyoming_port is not None:
            from streamer.serve.wyoming import serve_wyoming

            await stack.enter_async_context(
                serve_wyoming(
                    sessions, settings.host, settings.wyoming_port, list(settings.languages)
                )
            )
        beat = asyncio.create_task(measures.watch_loop()) if measures is not None else None
        try:
            yield gateway, port
        finally:
            if beat is not None:
                beat.cancel()
            await gateway.stop(settings.grace)


async def serve_handed(plan: GraphPlan, settings: Settings, wire: socket.socket) -> None:
    """Serve the connections that come through ``wire`` (of a Fleet) until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with serve(plan, settings, Handed(wire, stop.set)):
        await stop.wait()


async def _warm_up(plan: GraphPlan, resources: Resources) -> None:
    """Load the models before the first client waits for them."""
    port = SessionPort()
    await port.end()
    engine = Engine(plan, session="warm-up", resources=resources, local={"session": port})
    async with asyncio.timeout(120):
        await engine.run()


def _settle(stack: contextlib.AsyncExitStack) -> None:
    """Set the interpreter up for many sessions.

    The collector's full rounds, which stop everything, leave out what is loaded by now and come
    less often; threads hand the interpreter on after 0.5 ms, so that a batch that is done does not
    wait 5 ms for the event loop, or that for it.
    """
    stack.callback(sys.setswitchinterval, sys.getswitchinterval())
    sys.setswitchinterval(0.0005)
    stack.callback(gc.set_threshold, *gc.get_threshold())
    stack.callback(gc.unfreeze)
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def _measures(sessions: Sessions) -> Measures | None:
    try:
        from streamer.serve.measures import Measures
    except ImportError:  # the extra [metrics] is not installed
        return None
    return Measures(sessions)


def _tls(settings: Settings) -> ssl.SSLContext | None:
    if settings.certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(settings.certificate, settings.private_key)
    except (OSError, ssl.SSLError) as error:
        raise InputError(
            f"The certificate {settings.certificate} cannot be used: {error}.",
            code="serve.certificate",
            hint="Give a PEM file with --certificate and its key with --private-key.",
        ) from error
    return context
