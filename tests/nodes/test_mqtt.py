"""``sink.mqtt`` and ``source.mqtt`` in real graphs against a real mosquitto."""

from __future__ import annotations

import asyncio
import gc
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiomqtt
import numpy as np
import pytest
from pydantic import ValidationError

from streamer.errors import InputError, OutputError, StreamerError
from streamer.graph import Edge, Engine, GraphPlan, In, Node, NodePlan, Out, QueueSpec, Source
from streamer.nodes.mqtt import SinkMqtt, SourceMqtt
from streamer.packets import AudioFrame, SpeechSpan, Stamp, Transcript
from tests.mqtt.mosquitto import BINARY, Mosquitto, free_port, subscribed


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    server = Mosquitto(tmp_path)
    server.start()
    yield server
    server.stop()


class Talk(Source):
    """Speaks ``count`` segments: start, two partials, a final, end."""

    out: Out[Transcript | SpeechSpan]
    count = 3
    pause = 0.0

    async def run(self) -> None:
        for n in range(self.count):
            begin, end = n * 1.0, n + 0.8
            stamp = Stamp(position=(n + 1) * 16000, captured_ns=self.ctx.now_ns())
            for event in (
                SpeechSpan("start", n, begin),
                Transcript("good", begin, end, n, 0, 0),
                Transcript("good mor", begin, end, n, 1, 4),
                Transcript(f"good morning {n}", begin, end, n, 2, 14, final=True),
                SpeechSpan("end", n, begin, end, end),
            ):
                await self.out.send(event, stamp)
                await asyncio.sleep(self.pause)


class Slowly(Talk):
    pause = 0.005
    count = 60


class Hear(Node):
    audio: In[AudioFrame]
    heard: list[tuple[AudioFrame, Stamp]]
    marks: list[str]
    some: asyncio.Event

    def __init__(self, config: Any = None) -> None:
        super().__init__(config)
        self.heard, self.marks, self.some = [], [], asyncio.Event()

    async def process(self, frame: AudioFrame) -> None:
        self.heard.append((frame, self.ctx.stamp))
        self.some.set()

    async def on_mark(self, mark: str) -> None:
        self.marks.append(mark)
        self.some.set()


def plan(
    left: type[Node], right: type[Node], left_config: Any = None, right_config: Any = None
) -> GraphPlan:
    (out,), (port,) = left.ports()[1].values(), right.ports()[0].values()
    return GraphPlan(
        "test",
        {
            "left": NodePlan("left", left, left_config),
            "mqtt": NodePlan("mqtt", right, right_config),
        },
        [Edge("left", out, "mqtt", port, QueueSpec(None, 1000, "drop_oldest"))],
    )


def sink_config(port: int, **more: Any) -> Any:
    return SinkMqtt.Config(host="127.0.0.1", port=port, prefix="home/caps", **more)


def test_transcripts_and_speech_are_published_as_json(mosquitto: Mosquitto) -> None:
    async def scenario() -> None:
        async with subscribed(mosquitto.port, "home/#") as mailbox:
            await Engine(plan(Slowly, SinkMqtt, None, sink_config(mosquitto.port))).run()
            await mailbox.until("state", 2)
            finals = [json.loads(payload) for payload in mailbox.on("caps/mqtt/final")]
            assert [f["text"] for f in finals] == [f"good morning {n}" for n in range(60)]
            assert finals[1] | {"latency_ms": 0, "time": 0} == {
                "type": "final", "segment": 1, "revision": 2, "text": "good morning 1",
                "stable_len": 14, "start": 1.0, "end": 1.8, "words": [], "latency_ms": 0, "time": 0,
            }  # fmt: skip
            assert 0 < finals[1]["latency_ms"] < 1000
            speech = [json.loads(payload) for payload in mailbox.on("mqtt/speech")]
            assert [s["state"] for s in speech] == ["start", "end"] * 60
            seen_final = -1
            for message in mailbox.messages:
                if message.topic.matches("home/caps/mqtt/final"):
                    seen_final = json.loads(message.payload)["segment"]
                if message.topic.matches("home/caps/mqtt/partial"):
                    assert json.loads(message.payload)["segment"] > seen_final
            assert mailbox.on("mqtt/partial")

    asyncio.run(scenario())


def test_the_graph_goes_on_without_a_broker_and_catches_up_when_it_returns(
    mosquitto: Mosquitto,
) -> None:
    async def scenario() -> None:
        mosquitto.stop()
        engine = Engine(plan(Talk, SinkMqtt, None, sink_config(mosquitto.port)))
        running = asyncio.create_task(engine.run())
        await asyncio.sleep(0.1)
        assert engine.runners["left"].ended
        await asyncio.to_thread(mosquitto.start)
        async with subscribed(mosquitto.port, "home/caps/mqtt/final") as mailbox:
            await running
            finals = await mailbox.until("final", 3)
        assert [json.loads(f)["segment"] for f in finals] == [0, 1, 2]
        assert [r.error.code for r in engine.reports] == ["mqtt.unreachable"]  # type: ignore[attr-defined]

    asyncio.run(scenario())


def test_what_could_not_be_delivered_by_the_end_is_said() -> None:
    engine = Engine(plan(Talk, SinkMqtt, None, sink_config(free_port(), linger=0.3)))
    asyncio.run(engine.run())
    errors = [report.error for report in engine.reports]
    assert [e.code for e in errors if isinstance(e, StreamerError)] == [
        "mqtt.unreachable",
        "mqtt.undelivered",
    ]
    assert "9 messages" in str(errors[-1])


def test_sessions_have_topics_and_client_ids_of_their_own(mosquitto: Mosquitto) -> None:
    async def scenario() -> None:
        config = sink_config(mosquitto.port, client_id="gateway")
        async with subscribed(mosquitto.port, "home/#") as mailbox:
            engines = [
                Engine(plan(Talk, SinkMqtt, None, config), session=name) for name in ("aa", "bb")
            ]
            await asyncio.gather(*(engine.run() for engine in engines))
            for name in ("aa", "bb"):
                assert len(await mailbox.until(f"{name}/final", 3)) == 3
                await mailbox.until(f"{name}/state", 2)
            assert [engine.reports for engine in engines] == [[], []]
        async with subscribed(mosquitto.port, "home/#") as late:
            await asyncio.sleep(0.1)
            assert late.messages == [], "nothing of a session is retained"

    asyncio.run(scenario())


KILLED = """
import asyncio, sys
from streamer.graph import Engine
from streamer.nodes.mqtt import SinkMqtt
from tests.nodes.test_mqtt import Talk, plan, sink_config
class Forever(Talk):
    async def run(self):
        await super().run()
        await asyncio.sleep(60)
asyncio.run(Engine(plan(Forever, SinkMqtt, None, sink_config(int(sys.argv[1])))).run())
"""


def test_the_last_will_says_offline_when_the_process_is_killed(mosquitto: Mosquitto) -> None:
    async def scenario() -> None:
        async with subscribed(mosquitto.port, "home/#") as mailbox:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", KILLED, str(mosquitto.port)
            )
            await mailbox.until("final", 3, seconds=30)
            process.kill()
            await process.wait()
            states = [json.loads(s)["state"] for s in await mailbox.until("state", 2)]
            assert states == ["online", "offline"]

    asyncio.run(scenario())


@pytest.mark.skipif(BINARY is None, reason="mosquitto is not installed")
def test_a_wrong_password_is_said_and_the_right_one_works(tmp_path: Path) -> None:
    passwords = tmp_path / "passwords"
    subprocess.run(["mosquitto_passwd", "-b", "-c", passwords, "me", "0815"], check=True)
    server = Mosquitto(tmp_path, f"password_file {passwords}", anonymous=False)
    server.start()
    try:
        wrong = sink_config(server.port, username="me", password="none", linger=0.3)
        engine = Engine(plan(Talk, SinkMqtt, None, wrong))
        asyncio.run(engine.run())
        assert isinstance(engine.reports[0].error, OutputError)
        assert engine.reports[0].error.code == "mqtt.refused"
        assert "none" not in repr(wrong) + str(engine.reports)
        right = sink_config(server.port, username="me", password="0815")
        engine = Engine(plan(Talk, SinkMqtt, None, right))
        asyncio.run(engine.run())
        assert engine.reports == []
    finally:
        server.stop()


# paho leaves the socket of a failed handshake to the garbage collector.
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_tls_with_a_certificate_of_ones_own(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    key.chmod(0o644)
    server = Mosquitto(tmp_path, f"certfile {certificate}", f"keyfile {key}")
    server.start()
    try:
        trusting = sink_config(server.port, tls=True, ca=str(certificate))
        engine = Engine(plan(Talk, SinkMqtt, None, trusting))
        asyncio.run(engine.run())
        assert engine.reports == []
        stranger = sink_config(server.port, tls=True, linger=0.3)
        engine = Engine(plan(Talk, SinkMqtt, None, stranger))
        asyncio.run(engine.run())
        assert "certificate" in str(engine.reports[0].error)
        gc.collect()
        missing = sink_config(server.port, tls=True, ca=str(tmp_path / "none.pem"))
        with pytest.raises(OutputError, match="mqtt.tls"):
            asyncio.run(Engine(plan(Talk, SinkMqtt, None, missing)).run())
    finally:
        server.stop()


@pytest.mark.parametrize("bad", ["", "a/#", "+/b", "/a", "a/", "$SYS"])
def test_a_prefix_must_be_a_plain_topic(bad: str) -> None:
    with pytest.raises(ValidationError, match="topic"):
        SinkMqtt.Config(prefix=bad)
    with pytest.raises(ValidationError):
        SourceMqtt.Config(topic="a", unknown=1)


# -- audio in --------------------------------------------------------------------------------


async def listening(
    engine: Engine, mailbox_port: int, topic: str
) -> tuple[asyncio.Task[None], Hear]:
    """Start the graph and wait until its subscription is in force."""
    running = asyncio.create_task(engine.run())
    async with aiomqtt.Client("127.0.0.1", mailbox_port) as client, asyncio.timeout(10):
        await asyncio.sleep(0)
        hear = engine.runners["mqtt"].node
        assert isinstance(hear, Hear)
        while not hear.marks:
            await client.publish(topic, b"", qos=1)
            await asyncio.sleep(0.02)
    return running, hear


def test_samples_come_out_of_the_broker_as_they_went_in(mosquitto: Mosquitto) -> None:
    rng = np.random.default_rng(0)
    pcm = rng.integers(-32768, 32768, (50, 320), dtype=np.int16)

    async def scenario() -> None:
        config = SourceMqtt.Config(host="127.0.0.1", port=mosquitto.port, topic="mic/1")
        engine = Engine(plan(SourceMqtt, Hear, config))
        running, hear = await listening(engine, mosquitto.port, "mic/1")
        async with aiomqtt.Client("127.0.0.1", mosquitto.port) as client, asyncio.timeout(10):
            for block in pcm:
                await client.publish("mic/1", block.astype("<i2").tobytes(), qos=1)
            await client.publish("mic/1", b"123", qos=1)
            await client.publish("mic/1", b"12345", qos=1)
            while len(hear.heard) < 50:
                hear.some.clear()
                await hear.some.wait()
            await client.publish("mic/1", b"", qos=1)
            while hear.marks[-1:] != ["end"]:
                await hear.some.wait()
        now = engine.now_ns()
        engine.stop()
        await running
        joined = np.concatenate([frame.samples for frame, _ in hear.heard])
        np.testing.assert_array_equal(joined * 32768, pcm.reshape(-1, 1))
        assert [frame.start for frame, _ in hear.heard] == list(range(0, 16000, 320))
        ages = [(now - stamp.captured_ns) / 1e9 for _, stamp in hear.heard]
        assert all(0 < age < 5 for age in ages)
        assert ages == sorted(ages, reverse=True)
        assert [r.error.code for r in engine.reports] == ["mqtt.bad-audio"]  # type: ignore[attr-defined]

    asyncio.run(scenario())


def test_an_announced_format_and_numbers_survive_a_lost_broker(mosquitto: Mosquitto) -> None:
    announcement = json.dumps({"format": "f32le", "rate": 48000, "channels": 2})

    def numbered(n: int) -> bytes:
        return n.to_bytes(4, "little") + np.full((480, 2), n / 100, "<f4").tobytes()

    async def scenario() -> None:
        config = SourceMqtt.Config(
            host="127.0.0.1", port=mosquitto.port, topic="m", announced=True, numbered=True
        )
        engine = Engine(plan(SourceMqtt, Hear, config))
        running, hear = await listening(engine, mosquitto.port, "m")

        async def say(*numbers: int, hello: bool) -> None:
            async with aiomqtt.Client("127.0.0.1", mosquitto.port) as client, asyncio.timeout(10):
                if hello:
                    await client.publish("m/format", announcement, qos=1, retain=True)
                count = len(hear.heard)
                for n in numbers:
                    await client.publish("m", numbered(n), qos=1)
                while len(hear.heard) < count + len(numbers):
                    hear.some.clear()
                    await hear.some.wait()

        async with aiomqtt.Client("127.0.0.1", mosquitto.port) as client:
            await client.publish("m", numbered(0), qos=1)
        await say(1, 2, hello=True)
        mosquitto.stop()
        await asyncio.to_thread(mosquitto.start)
        async with aiomqtt.Client("127.0.0.1", mosquitto.port) as client, asyncio.timeout(10):
            count = len(hear.marks)
            while len(hear.marks) == count:
                await client.publish("m", b"", qos=1)
                await asyncio.sleep(0.02)
        await say(5, 6, hello=True)
        engine.stop()
        await running
        frames = [frame for frame, _ in hear.heard]
        assert [(f.rate, f.channels, f.start) for f in frames] == [
            (48000, 2, start) for start in (0, 480, 4 * 480, 5 * 480)
        ]
        assert [float(f.samples[0, 0]) for f in frames] == pytest.approx([0.01, 0.02, 0.05, 0.06])
        codes = [r.error.code for r in engine.reports]  # type: ignore[attr-defined]
        assert codes == ["mqtt.no-format", "mqtt.unreachable"]

    asyncio.run(scenario())


def test_another_rate_in_the_middle_ends_the_source(mosquitto: Mosquitto) -> None:
    async def scenario() -> None:
        config = SourceMqtt.Config(host="127.0.0.1", port=mosquitto.port, topic="m", announced=True)
        engine = Engine(plan(SourceMqtt, Hear, config))
        running, _ = await listening(engine, mosquitto.port, "m")
        async with aiomqtt.Client("127.0.0.1", mosquitto.port) as client:
            for rate in (16000, 48000):
                await client.publish("m/format", json.dumps({"rate": rate}), qos=1)
        with pytest.raises(InputError, match="changed from 16000 Hz"):
            await running

    asyncio.run(scenario())
