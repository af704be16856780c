"""The protocol of sherpa-onnx's streaming websocket server at ``/sherpa``.

Source: https://github.com/k2-fsa/sherpa-onnx (online-websocket-server): little-endian float32
samples at 16 kHz in, a JSON result for every change out; ``Done`` ends, answered by ``Done!``.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any

from websockets.exceptions import ConnectionClosed

from streamer.errors import InputError
from streamer.nodes.session import Delivery
from streamer.packets import Transcript
from streamer.serve.gateway import Client
from streamer.serve.sessions import Sessions
from streamer.serve.wire import open_wire, receive_for

__all__ = ["sherpa"]

RATE = 16000
LINGER = 5.0
"""Seconds a client has to close after ``Done!``; the original leaves that to the client too."""


async def sherpa(client: Client, sessions: Sessions) -> None:
    """Serve one connection."""
    socket = client.socket
    last: Transcript | None = None

    async def tell(delivery: Delivery) -> None:
        nonlocal last
        if isinstance(delivery.event, Transcript):
            last = delivery.event
            await socket.send(_result(last))

    async with open_wire(sessions, "f32le", RATE, 1, tell) as wire:
        while True:
            message = await receive_for(wire, socket, sessions.limits.idle)
            if message is None:
                break
            if isinstance(message, bytes):
                await wire.audio.push(message)
            elif message.strip() == "Done":
                break
            else:
                raise InputError(
                    "Only float32 samples and `Done` are understood here.",
                    code="serve.bad-message",
                    hint="See docs/protocol.md.",
                )
        await wire.end()
    # Their Python client parses the last message before `Done!` as JSON: there must be one.
    await socket.send(_result(last or Transcript("", 0.0, 0.0, final=True), eof=True))
    await socket.send("Done!")
    with contextlib.suppress(ConnectionClosed, TimeoutError):
        async with asyncio.timeout(LINGER):
            await socket.recv()


def _result(transcript: Transcript, *, eof: bool = False) -> str:
    words = transcript.words
    texts = [f" {word.text}" for word in words] or [f" {w}" for w in transcript.text.split()]
    times = [round(max(0.0, word.start - transcript.start), 2) for word in words]
    body: dict[str, Any] = {
        "text": transcript.text,
        "tokens": texts,
        "timestamps": times,
        "ys_probs": [],
        "lm_probs": [],
        "context_scores": [],
        "segment": transcript.segment,
        "words": [],
        "start_time": round(transcript.start, 2),
        "is_final": transcript.final,
        "is_eof": eof,
    }
    return json.dumps(body, ensure_ascii=False)
