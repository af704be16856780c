"""``sink.mqtt`` publishes what was understood; ``source.mqtt`` takes audio from a topic."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from streamer.errors import InputError, OutputError
from streamer.graph import In, Node, NodeConfig, Out, Source
from streamer.graph.units import Seconds
from streamer.mqtt.audio import AudioFormat, PcmReader
from streamer.mqtt.messages import to_message
from streamer.packets import AudioEvent, AudioFrame, SpeechSpan, Stamp, Transcript

if TYPE_CHECKING:
    from streamer.mqtt.broker import Broker
    from streamer.mqtt.listener import Arrival

__all__ = ["SinkMqtt", "SourceMqtt"]

_WAITING_MESSAGES = 64


def _text(value: Any) -> Any:
    """A password that looks like a number in YAML is still a text."""
    return str(value) if isinstance(value, int | float) else value


def _plain_topic(topic: str) -> str:
    if not topic or set(topic) & set("+#\0") or topic.startswith(("/", "$")) or topic[-1] == "/":
        raise ValueError(f"{topic!r} is not a topic such as home/kitchen, without + and #")
    return topic


Topic = Annotated[str, AfterValidator(_plain_topic)]
Secret = Annotated[SecretStr, BeforeValidator(_text)]


class BrokerConfig(NodeConfig):
    """Where the broker is. Write ``password: ${MQTT_PASSWORD}``, never the password itself."""

    host: str = Field("localhost", min_length=1)
    port: int | None = Field(None, ge=1, le=65535)
    client_id: str | None = None
    username: Secret | None = None
    password: Secret | None = None
    tls: bool = False
    ca: str | None = None


class SinkMqtt(Node):
    """Publishes JSON on ``<prefix>/<session or node name>/partial|final|speech|event|state``."""

    kind = "sink.mqtt"
    events: In[Transcript | SpeechSpan | AudioEvent] = In(many=True)

    class Config(BrokerConfig):
        prefix: Topic = "streamer"
        qos: int = Field(1, ge=0, le=1)
        buffer: int = Field(1000, ge=1)
        retain_state: bool = True
        linger: Seconds = 5.0

    async def start(self) -> None:
        _need_aiomqtt()
        from streamer.mqtt.publisher import Publisher

        session = self.ctx.session
        self._base = f"{self.config.prefix}/{session or self.ctx.name}"
        self._publisher = Publisher(
            await _broker(self),
            f"{self._base}/state",
            limit=self.config.buffer,
            # Session names are random: retained, they would pile up at the broker.
            retain_state=self.config.retain_state and not session,
            on_error=self.ctx.report,
        )
        self.ctx.spawn(self._publisher.run())

    async def process(self, event: Transcript | SpeechSpan | AudioEvent) -> None:
        age_ms = (self.ctx.now_ns() - self.ctx.stamp.captured_ns) / 1e6
        self._publisher.publish(
            to_message(event, self._base, self.config.qos, age_ms=age_ms, time=time.time())
        )

    async def finish(self) -> None:
        left = await self._publisher.drain(self.config.linger)
        if left:
            self.ctx.report(
                OutputError(
                    f"{left} messages could not be published before the end.",
                    code="mqtt.undelivered",
                    hint="`linger` says how long to wait for the broker.",
                )
            )


class SourceMqtt(Source):
    """Raw PCM messages on ``topic``; an empty message says that the speaker has finished.

    With ``announced``, the format is not set here but read from the JSON message that the sender
    retains on ``<topic>/format``. With ``numbered``, payloads begin with a message number.
    """

    kind = "source.mqtt"
    live = True
    audio: Out[AudioFrame]

    class Config(BrokerConfig, AudioFormat):
        topic: Topic
        qos: int = Field(0, ge=0, le=1)
        announced: bool = False
        numbered: bool = False

    _reader: PcmReader | None = None
    _complained = False

    @classmethod
    def gives(cls, config: Any) -> dict[str, dict[str, Any]]:
        if config.announced:
            return {}
        return {"audio": {"rate": config.rate, "channels": config.channels}}

    async def start(self) -> None:
        _need_aiomqtt()
        self._broker = await _broker(self)

    async def run(self) -> None:
        tasks = [asyncio.create_task(self._pump()), asyncio.create_task(self.ctx.stopping.wait())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if self._reader is not None and self._reader.not_finite:
            self.ctx.report(
                InputError(
                    f"{self._reader.not_finite} samples were NaN or infinite and became 0.",
                    code="audio.not-finite",
                    hint="Check the format the sender uses.",
                )
            )

    async def _pump(self) -> None:
        from streamer.mqtt.listener import listen

        config = self.config
        topics = [config.topic]
        if config.announced:
            topics.append(f"{config.topic}/format")
        else:
            self._reader = PcmReader(config, config.numbered)
        arrivals = listen(
            self._broker,
            topics,
            qos=config.qos,
            limit=_WAITING_MESSAGES,
            on_error=self.ctx.report,
        )
        async with contextlib.aclosing(arrivals):
            async for arrival in arrivals:
                try:
                    await self._take(arrival)
                    self._complained = False
                except InputError as error:
                    if error.code == "audio.format-changed":
                        raise
                    if not self._complained:
                        self._complained = True
                        self.ctx.report(error)

    async def _take(self, arrival: Arrival) -> None:
        if arrival.topic != self.config.topic:
            self._announce(AudioFormat.from_message(arrival.payload))
            return
        if not arrival.payload:
            await self.ctx.mark("end")
            return
        if self._reader is None:
            raise InputError(
                f"Audio came in before its format was announced on {self.config.topic}/format.",
                code="mqtt.no-format",
                hint="Retain the announcement, or set `announced: false` and the format here.",
            )
        frame = self._reader.read(arrival.payload, arrival.dropped)
        if frame is not None:
            captured_ns = int(arrival.time * 1e9)
            stamp = Stamp(self.ctx.session, frame.end, frame.rate, captured_ns, self.ctx.generation)
            await self.audio.send(frame, stamp)

    def _announce(self, layout: AudioFormat) -> None:
        if self._reader is None:
            self._reader = PcmReader(layout, self.config.numbered)
            return
        old = self._reader.layout
        if (old.rate, old.channels) != (layout.rate, layout.channels):
            raise InputError(
                f"The audio on {self.config.topic} changed from {old.rate} Hz, {old.channels} "
                f"channels to {layout.rate} Hz, {layout.channels} channels.",
                code="audio.format-changed",
                hint="Start the graph again for another format.",
            )
        self._reader.layout = layout


async def _broker(node: Node) -> Broker:
    from streamer.mqtt.broker import Broker

    config, session = node.config, node.ctx.session
    tls = await node.ctx.call(_tls_context, config.ca) if config.tls else None
    client_id = f"{config.client_id}-{session}" if config.client_id and session else None
    return Broker(
        config.host,
        config.port or (8883 if tls else 1883),
        client_id=client_id or config.client_id,
        username=_reveal(config.username),
        password=_reveal(config.password),
        tls=tls,
    )


def _reveal(secret: SecretStr | None) -> str | None:
    return (secret.get_secret_value() or None) if secret else None


def _tls_context(ca: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca)
    except OSError as error:
        raise OutputError(
            f"The certificates of the MQTT broker cannot be read from {ca}: {error}.",
            code="mqtt.tls",
            hint="`ca` names a file of PEM certificates.",
        ) from error


def _need_aiomqtt() -> None:
    try:
        import aiomqtt  # noqa: F401
    except ImportError as error:
        raise OutputError(
            "MQTT needs the package aiomqtt, which is not installed.",
            code="mqtt.not-installed",
            hint="pip install 'streamer[mqtt]'",
        ) from error
