"""The protocol of vosk-server at ``/vosk``: config, PCM16, one reply to each audio message.

Source: https://github.com/alphacep/vosk-server (websocket/asr_server.py).
"""

from __future__ import annotations

import json
from typing import Any

from streamer.errors import InputError
from streamer.nodes.session import Delivery
from streamer.packets import Transcript
from streamer.serve.gateway import Client
from streamer.serve.messages import parse_object
from streamer.serve.sessions import Sessions
from streamer.serve.wire import Wire, open_wire, receive, receive_for

__all__ = ["vosk"]

DEFAULT_RATE = 8000
"""vosk-server's own; clients state theirs."""


class _State:
    def __init__(self, config: dict[str, Any]) -> None:
        self.words = bool(config.get("words"))
        self.alternatives = bool(config.get("max_alternatives"))
        self.partial = ""
        self.finals: list[Transcript] = []

    async def take(self, delivery: Delivery) -> None:
        event = delivery.event
        if isinstance(event, Transcript):
            if event.final:
                self.finals.append(event)
                self.partial = ""
            else:
                self.partial = event.text

    def reply(self) -> str:
        """One result if a segment has ended, else the partial."""
        if self.finals:
            return self.result([self.finals.pop(0)])
        return json.dumps({"partial": self.partial})

    def rest(self) -> str:
        """All that has not been told, as one result."""
        finals, self.finals = self.finals, []
        return self.result(finals)

    def result(self, finals: list[Transcript]) -> str:
        text = " ".join(final.text for final in finals if final.text)
        words = [
            {
                "conf": round(word.confidence, 6),
                "end": round(word.end, 3),
                "start": round(word.start, 3),
                "word": word.text,
            }
            for final in finals
            for word in final.words
        ]
        body: dict[str, Any] = {"text": text}
        if self.words and words:
            body = {"result": words, **body}
        if self.alternatives:
            scores = [word.confidence for final in finals for word in final.words]
            confidence = sum(scores) / len(scores) if scores else 1.0
            body = {"alternatives": [{"confidence": confidence, **body}]}
        return json.dumps(body, ensure_ascii=False)


async def vosk(client: Client, sessions: Sessions) -> None:
    """Serve one connection."""
    socket, limits = client.socket, sessions.limits
    config: dict[str, Any] = {}
    message = await receive(socket, limits.idle)
    while isinstance(message, str):
        order = parse_object(message, max_depth=limits.json_depth)
        if "eof" in order:
            await socket.send(_State(config).rest())
            return
        if isinstance(order.get("config"), dict):
            config |= order["config"]
        message = await receive(socket, limits.idle)
    state = _State(config)
    rate = _rate(config.get("sample_rate", DEFAULT_RATE))
    async with open_wire(sessions, "s16le", rate, 1, state.take) as wire:
        await _converse(client, sessions, wire, state, message)


def _rate(value: Any) -> int:
    try:
        return int(float(value))
    except (OverflowError, TypeError, ValueError):
        raise InputError(
            f"The sample rate {str(value)[:20]!r} is not a number.", code="serve.bad-format"
        ) from None


async def _converse(
    client: Client, sessions: Sessions, wire: Wire, state: _State, message: str | bytes | None
) -> None:
    socket, limits = client.socket, sessions.limits
    while True:
        if message is None:
            await socket.send(state.rest())
            return
        if isinstance(message, bytes):
            await wire.audio.push(message)
            await socket.send(state.reply())
        else:
            order = parse_object(message, max_depth=limits.json_depth)
            if "eof" in order:
                await wire.end()
                await socket.send(state.rest())
                return
            if "reset" in order:
                await wire.settle()
                await socket.send(state.rest())
        message = await receive_for(wire, socket, limits.idle)
