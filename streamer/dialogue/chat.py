"""A language model behind an OpenAI-compatible ``/chat/completions``, heard as it writes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from typing import Any

from streamer.endpoints import bearer, reason_of
from streamer.errors import ModelError

__all__ = ["ChatClient", "ChatSettings", "ToolCall"]

LONGEST_LINE = 1 << 20
"""Bytes of one event."""
MOST_CALLS = 16
"""Tool calls in one answer."""


@dataclass(frozen=True, slots=True)
class ChatSettings:
    """Where the model is and how it is asked; times in seconds."""

    url: str
    model: str
    key: str = ""
    temperature: float | None = None
    max_tokens: int | None = None
    first: float = 20.0
    """Until the first piece of an answer."""
    between: float = 5.0
    """Between two pieces."""
    longest: int = 4000
    """Characters of an answer."""


@dataclass(slots=True)
class ToolCall:
    """What the model wants done; ``arguments`` is JSON, or should be."""

    id: str = ""
    name: str = ""
    arguments: str = ""
    result: str = ""
    """Of whoever carried it out; empty if that was broken off."""

    def message(self) -> dict[str, Any]:
        """As the API wants it back."""
        function = {"name": self.name, "arguments": self.arguments}
        return {"id": self.id, "type": "function", "function": function}


@dataclass(slots=True)
class _Answer:
    written: int = 0
    calls: dict[int, ToolCall] = field(default_factory=dict)


class ChatClient:
    """Making one takes a while (TLS): do it on a thread. ``brain.chat.*`` are its errors."""

    def __init__(self, settings: ChatSettings) -> None:
        try:
            import httpx
        except ImportError as error:
            raise ModelError(
                "A chat model needs the package httpx.",
                code="brain.chat.missing",
                hint="pip install 'streamer[chat]'",
            ) from error
        self._httpx, self._settings = httpx, settings
        self.url = settings.url.rstrip("/") + "/chat/completions"
        self._client = httpx.AsyncClient(
            headers=bearer(settings.key),
            timeout=httpx.Timeout(None, connect=min(settings.first, 5.0)),
        )

    async def aclose(self) -> None:
        """Give up all connections."""
        await self._client.aclose()

    async def ask(
        self, messages: Sequence[dict[str, Any]], tools: Sequence[dict[str, Any]] = ()
    ) -> AsyncGenerator[str | list[ToolCall], None]:
        """Pieces of text as they come; at the end the tool calls, if there are any.

        Closing the iterator ends the request. Raises ModelError for a server that is away, refuses,
        is too slow, breaks off, sends nothing or never ends; what came before has been given.
        """
        answer = _Answer()
        events = self._events(self._body(messages, tools))
        try:
            patience = self._settings.first
            while True:
                try:
                    async with asyncio.timeout(patience):
                        data = await anext(events)
                except StopAsyncIteration:
                    break
                text = self._take(answer, data)
                if text or answer.calls:
                    patience = self._settings.between
                if text:
                    yield text
        except TimeoutError as error:
            raise ModelError(
                f"The chat model at {self.url} wrote nothing for {patience:g} s.",
                code="brain.chat.slow",
                hint="Give it more time (`first`, `between`), or take a smaller model.",
            ) from error
        finally:
            await events.aclose()
        calls = [answer.calls[i] for i in sorted(answer.calls)]
        if calls:
            yield calls
        elif not answer.written:
            raise ModelError(
                f"The chat model at {self.url} gave an empty answer.",
                code="brain.chat.empty",
                hint="Is `max_tokens` too small, or the model not made for chats?",
            )

    def _body(self, messages: Sequence[Any], tools: Sequence[Any]) -> dict[str, Any]:
        s = self._settings
        body: dict[str, Any] = {"model": s.model, "messages": list(messages), "stream": True}
        if tools:
            body["tools"] = list(tools)
        if s.temperature is not None:
            body["temperature"] = s.temperature
        if s.max_tokens is not None:
            body["max_tokens"] = s.max_tokens
        return body

    async def _events(self, body: dict[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
        """The JSON objects of the server's events (server-sent events, data lines only)."""
        httpx = self._httpx
        try:
            async with self._client.stream("POST", self.url, json=body) as response:
                if response.status_code != 200:
                    raise self._refused(response, await _some(response))
                if "event-stream" not in response.headers.get("content-type", "event-stream"):
                    yield self._parsed(await _some(response, LONGEST_LINE))
                    return
                async for line in self._lines(response):
                    if line == b"[DONE]":
                        return
                    yield self._parsed(line)
                raise self._broken("it ended before the answer did")
        except httpx.ConnectError as error:
            raise ModelError(
                f"The chat model at {self.url} cannot be reached: {error}.",
                code="brain.chat.unreachable",
                hint="Is the server running, and is `url` right (it usually ends in /v1)?",
            ) from error
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise self._broken(str(error) or type(error).__name__) from error

    async def _lines(self, response: Any) -> AsyncGenerator[bytes, None]:
        rest = b""
        async for data in response.aiter_bytes():
            *lines, rest = (rest + data).split(b"\n")
            if len(rest) > LONGEST_LINE:
                raise self._broken("a line without an end")
            for line in lines:
                if line.startswith(b"data:"):
                    yield line[5:].strip()

    def _take(self, answer: _Answer, data: dict[str, Any]) -> str:
        """The text in one event; calls are gathered."""
        try:
            if data.get("error"):
                raise self._broken(reason_of(json.dumps(data).encode()))
            choices = data.get("choices") or [{}]
            delta = choices[0].get("delta") or choices[0].get("message") or {}
            for place, part in enumerate(delta.get("tool_calls") or ()):
                call = answer.calls.setdefault(int(part.get("index", place)), ToolCall())
                function = part.get("function") or {}
                call.id = part.get("id") or call.id
                call.name += function.get("name") or ""
                call.arguments += function.get("arguments") or ""
            text = delta.get("content") or ""
            answer.written += len(text)
            size = answer.written + sum(len(c.arguments) for c in answer.calls.values())
        except (AttributeError, TypeError, ValueError, KeyError, IndexError) as error:
            raise self._broken(f"an event of another form ({error})") from error
        if size > self._settings.longest or len(answer.calls) > MOST_CALLS:
            raise ModelError(
                f"The chat model at {self.url} does not come to an end.",
                code="brain.chat.endless",
                hint=f"It was stopped after {self._settings.longest} characters (`longest`).",
            )
        return str(text)

    def _parsed(self, line: bytes) -> dict[str, Any]:
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise self._broken("an event that is not JSON") from error
        if not isinstance(value, dict):
            raise self._broken("an event that is not an object")
        return value

    def _broken(self, why: str) -> ModelError:
        return ModelError(
            f"The chat model at {self.url} broke off: {why}.",
            code="brain.chat.broken",
            hint="What had come is spoken; the server's log may tell more.",
        )

    def _refused(self, response: Any, body: bytes) -> ModelError:
        wait = response.headers.get("retry-after", "")
        later = f" (again in {wait} s)" if wait.isdigit() else ""
        return ModelError(
            f"The chat model at {self.url} answered {response.status_code}{later}: "
            f"{reason_of(body)}",
            code="brain.chat.refused",
            hint="Check `model`, `url` and the key in the environment.",
        )


async def _some(response: Any, most: int = 4000) -> bytes:
    body = b""
    async for data in response.aiter_bytes():
        body += data
        if len(body) > most:
            break
    return body[:most]
