"""``brain.chat``: answers of a language model, spoken while it writes them."""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import aclosing
from typing import Any

from pydantic import Field

from streamer.dialogue.act import Hands
from streamer.dialogue.chat import ChatClient, ChatSettings, ToolCall
from streamer.dialogue.memory import Memory
from streamer.dialogue.tools import Tool, arguments_of, declaration
from streamer.errors import ModelError, StreamerError
from streamer.graph import In, Node, NodeConfig, Out
from streamer.graph.units import Seconds
from streamer.packets import Played, ReplyText, Stamp, UserTurn

__all__ = ["BrainChat"]

SYSTEM = (
    "You are a voice assistant. Your answers are spoken: be brief, write plain sentences, "
    "no markup, no lists, no emoji."
)
WAIT_FOR_PLAYED = 0.3
"""Seconds in which the news of what was heard of an interrupted answer is waited for."""
INTERRUPTED = json.dumps({"error": "the person interrupted; it may or may not have been done"})


class BrainChat(Node):
    """Asks any server with OpenAI's `/chat/completions` (Ollama, llama.cpp, vLLM, OpenAI ...).

    An interruption, or the next turn, ends the request. With `played` connected, the dialogue
    keeps of an interrupted answer only the words that were heard. If the model fails, or only
    ever uses tools, what it wrote so far is spoken, or `sorry`; the error is reported and the
    dialogue goes on.
    """

    kind = "brain.chat"
    outside = True
    turn: In[UserTurn]
    played: In[Played] = In(optional=True)
    reply: Out[ReplyText]

    class Config(NodeConfig):
        url: str = "http://localhost:11434/v1"
        """Such as `https://api.openai.com/v1`; the default is Ollama's."""
        model: str = Field(min_length=1)
        key_env: str = "OPENAI_API_KEY"
        """The environment variable that holds the key, if the server wants one."""
        system: str = SYSTEM
        temperature: float | None = Field(None, ge=0, le=2)
        max_tokens: int | None = Field(None, ge=1)
        """Of an answer; null leaves it to the server."""
        memory: int = Field(2000, ge=100)
        """Tokens of the dialogue that the model is told, estimated."""
        first: Seconds = 20.0
        """How long the first words may take."""
        between: Seconds = 5.0
        """How long the model may be silent between words."""
        longest: int = Field(4000, ge=1)
        """Characters after which an answer is cut off."""
        sorry: str = "Sorry, I cannot answer right now."
        tools: list[Tool] = []
        rounds: int = Field(4, ge=1, le=20)
        """How often the model may use tools before it must answer."""
        broker: str = "localhost"
        """Where MQTT actions of tools go."""
        port: int = Field(1883, ge=1, le=65535)
        username: str | None = None
        password: str | None = None

    _client: ChatClient | None = None
    _work: asyncio.Task[None] | None = None
    _unheard: int | None = None
    """The newest turn, while nothing of its answer is known to have been heard."""

    async def start(self) -> None:
        c = self.config
        settings = ChatSettings(
            c.url,
            c.model,
            os.environ.get(c.key_env, ""),
            c.temperature,
            c.max_tokens,
            c.first,
            c.between,
            c.longest,
        )
        if c.tools:
            await self.ctx.call(_need_jsonschema)
        self._client = await self.ctx.call(ChatClient, settings)
        self._memory = Memory(c.system, c.memory)
        self._tools = {tool.name: tool for tool in c.tools}
        self._hands = Hands(self.ctx.call, c.broker, c.port, c.username, c.password)
        self._sounding: set[int] = set()
        """Turns whose answer is being heard."""
        self._silent = asyncio.Event()

    async def process_turn(self, turn: UserTurn) -> None:
        await self._stop()
        self._work = self.ctx.spawn(self._answer(turn, self.ctx.stamp))

    async def process_played(self, played: Played) -> None:
        if played.turn == self._unheard:
            self._unheard = None
        if played.state in ("done", "interrupted"):
            self._sounding.discard(played.turn)
            self._silent.set()
        else:
            self._sounding.add(played.turn)
        if played.state == "interrupted":
            self._memory.heard(played.turn, played.text)

    async def on_interrupt(self, generation: int) -> None:
        await self._stop()
        if self._unheard is not None and self.ctx.connected("played"):
            self._memory.heard(self._unheard, "")

    async def on_flush(self) -> None:
        await self._stop()

    async def on_mark(self, mark: str) -> None:
        await self.finish()

    async def finish(self) -> None:
        if self._work is not None:
            await asyncio.wait({self._work})

    async def close(self) -> None:
        if self._client is not None:
            client, self._client = self._client, None
            await self._stop()
            await client.aclose()

    async def _stop(self) -> None:
        if self._work is not None:
            self._work.cancel()
            await asyncio.wait({self._work})
            self._work = None

    async def _answer(self, turn: UserTurn, stamp: Stamp) -> None:
        self._memory.ask(turn.index, turn.text)
        self._unheard = turn.index
        await self._until_silent()
        said = ""
        try:
            for left in range(self.config.rounds, -1, -1):
                text, calls = "", list[ToolCall]()
                try:
                    async with aclosing(self._ask(tools=left > 0)) as pieces:
                        async for piece in pieces:
                            if isinstance(piece, str):
                                text += piece
                                said += piece
                                await self.reply.send(ReplyText(turn.index, piece), stamp)
                            elif left:
                                calls = piece
                    for call in calls:
                        call.result = await self._use(call)
                finally:
                    self._remember(turn, text, calls)
                if not calls:
                    break
            if not said.strip():
                raise ModelError(
                    f"The chat model used tools {self.config.rounds} times and gave no answer.",
                    code="brain.chat.empty",
                    hint="Allow it more `rounds`, or say in `system` when to answer.",
                )
        except StreamerError as error:
            self.ctx.report(error)
            if not said.strip():
                await self.reply.send(ReplyText(turn.index, self.config.sorry), stamp)
        await self.reply.send(ReplyText(turn.index, "", last=True), stamp)

    def _ask(self, tools: bool) -> Any:
        assert self._client is not None
        offered = [declaration(tool) for tool in self._tools.values()] if tools else []
        return self._client.ask(self._memory.messages, offered)

    def _remember(self, turn: UserTurn, text: str, calls: list[ToolCall]) -> None:
        """Calls and results together: the API takes none without the other."""
        if not text and not calls:
            return
        message: dict[str, Any] = {"role": "assistant", "content": text or None}
        if calls:
            for place, call in enumerate(calls):
                call.id = call.id or f"call_{turn.index}_{place}"
            message["tool_calls"] = [call.message() for call in calls]
        self._memory.add(turn.index, message)
        for call in calls:
            content = call.result or INTERRUPTED
            self._memory.add(
                turn.index, {"role": "tool", "tool_call_id": call.id, "content": content}
            )

    async def _use(self, call: ToolCall) -> str:
        """The tool's result, or its error in words for the model."""
        tool = self._tools.get(call.name)
        try:
            if tool is None:
                raise ValueError(f"there is no tool {call.name!r}")
            values = arguments_of(call, tool)
            async with asyncio.timeout(tool.timeout):
                return await self._hands.act(tool.do, values) or "done"
        except TimeoutError:
            problem = f"the tool took longer than {tool.timeout if tool else 0:g} s"
        except ValueError as error:
            problem = str(error)
        except StreamerError as error:
            self.ctx.report(error)
            problem = error.message
        self.ctx.log.info("tool %s: %s", call.name, problem)
        return json.dumps({"error": problem})

    async def _until_silent(self) -> None:
        """What was heard of the answer before must be known before the next is asked for."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + WAIT_FOR_PLAYED
        while self._sounding and loop.time() < deadline:
            self._silent.clear()
            try:
                async with asyncio.timeout_at(deadline):
                    await self._silent.wait()
            except TimeoutError:
                self._sounding.clear()


def _need_jsonschema() -> None:
    try:
        import jsonschema  # noqa: F401
    except ImportError as error:
        raise ModelError(
            "Tools of a chat model need the package jsonschema.",
            code="brain.chat.missing",
            hint="pip install 'streamer[chat]'",
        ) from error
