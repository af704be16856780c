"""Clients that die, stall or lie, nodes that crash: told with a code, neighbours unharmed."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import struct
from typing import Any

import numpy as np
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from streamer.errors import InputError
from streamer.packets import AudioFrame
from streamer.serve.formats import open_audio

from .faults import END, FRAME, PATHS, START, serving, words
from .nodes import CountWords

RNG = np.random.default_rng(0)
SPEECHLIKE = (RNG.normal(0, 800, 8000)).astype("<i2").tobytes()
FLOATS = (RNG.normal(0, 0.03, 8000)).astype("<f4").tobytes()


def opening(path: str) -> list[str | bytes]:
    """What begins a session on ``path``, with some audio."""
    audio = base64.b64encode(SPEECHLIKE).decode()
    return {
        "/v1/stream": [START, SPEECHLIKE],
        "/vosk": ['{"config":{"sample_rate":16000}}', SPEECHLIKE],
        "/sherpa": [FLOATS],
        "/v1/realtime": [json.dumps({"type": "input_audio_buffer.append", "audio": audio})],
        "/v1/listen": [SPEECHLIKE],
    }[path]


async def reason(socket: ClientConnection) -> tuple[int, str]:
    """How the server closed: code, and reason with all that was said before."""
    heard = ""
    try:
        while True:
            heard += str(await asyncio.wait_for(socket.recv(), 15))
    except ConnectionClosed as closed:
        assert closed.rcvd is not None, "cut off without a close frame"
        return closed.rcvd.code, heard + closed.rcvd.reason


@pytest.mark.parametrize("path", PATHS)
def test_a_client_killed_in_the_middle_leaves_nothing(path: str) -> None:
    async def main() -> None:
        async with serving(resume=0.1) as served:
            for _ in range(5):
                socket = await connect(served.url(path))
                for message in opening(path):
                    await socket.send(message)
                await asyncio.sleep(0.02)
                socket.transport.abort()
            await served.empty()
            await served.works()

    asyncio.run(main())


def test_a_half_open_connection_is_given_up() -> None:
    async def main() -> None:
        async with serving(resume=0.1, idle=0.5) as served:
            socket = await connect(served.url())
            await socket.send(START)
            await socket.recv()
            socket.transport.pause_reading()  # neither data, pongs nor close frames any more
            await served.works()
            await served.empty(12)
            socket.transport.abort()

    asyncio.run(main())


def test_clients_of_one_byte_a_second_hold_up_nobody() -> None:
    request = b"GET /v1/stream HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"

    async def crawl(port: int) -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            for byte in request:
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(1)
        except ConnectionError:
            pass
        finally:
            writer.transport.abort()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def main() -> None:
        async with serving(idle=0.5, resume=0.1) as served:
            crawlers = [asyncio.create_task(crawl(served.port)) for _ in range(50)]
            # One that is through the handshake and then sends a frame byte by byte.
            socket = await connect(served.url())
            await socket.send(START)
            await socket.recv()
            for byte in (0x82, 0xFE):
                socket.transport.write(bytes([byte]))
                await asyncio.sleep(0.1)
            began = asyncio.get_running_loop().time()
            await served.works()
            assert asyncio.get_running_loop().time() - began < 2
            code, said = await reason(socket)
            assert code == 1008 and "serve.idle" in said
            for crawler in crawlers:
                crawler.cancel()
            await asyncio.gather(*crawlers, return_exceptions=True)
            await served.empty()

    asyncio.run(main())


@pytest.mark.parametrize("path", PATHS)
def test_fifty_megabytes_in_one_message_are_refused(path: str) -> None:
    async def main() -> None:
        async with serving(resume=0.1) as served:
            socket = await connect(served.url(path))
            for message in opening(path)[:1]:
                await socket.send(message)
            with contextlib.suppress(ConnectionClosed):
                await socket.send(bytes(50_000_000))
            assert (await reason(socket))[0] == 1009
            await served.empty()
            await served.works()

    asyncio.run(main())


@pytest.mark.parametrize("path", PATHS)
def test_text_that_is_not_utf8_is_refused(path: str) -> None:
    async def main() -> None:
        async with serving(resume=0.1) as served:
            socket = await connect(served.url(path))
            for message in opening(path)[:1]:
                await socket.send(message)
            await socket.send(b"\xff\xfe{", text=True)
            assert (await reason(socket))[0] == 1007
            await served.empty()

    asyncio.run(main())


class Crashes(CountWords):
    """Fails on loud audio alone."""

    async def process(self, frame: AudioFrame) -> None:
        if np.abs(frame.samples).max() > 0.9:
            raise ValueError("too loud")
        await super().process(frame)


LOUD = (np.tile([30000, -30000], 4000)).astype("<i2").tobytes()
LOUD_FLOATS = np.tile([0.95, -0.95], 4000).astype("<f4").tobytes()


@pytest.mark.parametrize("path", PATHS)
def test_a_node_that_crashes_is_told_and_the_neighbours_go_on(path: str) -> None:
    async def main() -> None:
        async with serving(Crashes, resume=0.1) as served:
            async with connect(served.url()) as neighbour:
                spoken = asyncio.create_task(words(neighbour, 20, 0.05))
                socket = await connect(served.url(path))
                for message in opening(path):
                    if isinstance(message, bytes):
                        message = LOUD_FLOATS if path == "/sherpa" else LOUD
                    elif "append" in message:
                        audio = base64.b64encode(LOUD).decode()
                        message = json.dumps({"type": "input_audio_buffer.append", "audio": audio})
                    await socket.send(message)
                code, said = await reason(socket)  # though the client says nothing more
                assert code == 1011 and "node.failed" in said
                assert await spoken == ["segment 0 samples 3200", "segment 1 samples 6400"]
            await served.empty()

    asyncio.run(main())


class Chatty(CountWords):
    """Much to say about each frame."""

    async def process(self, frame: AudioFrame) -> None:
        await super().process(frame)
        self.segment += 1
        self.frames = 0
        text = "x" * 20_000
        from streamer.packets import Transcript

        await self.out.send(Transcript(text, 0.0, 1.0, self.segment, 1, len(text), True))


def test_a_slow_reader_slows_nobody_else() -> None:
    async def main() -> None:
        async with serving(Chatty, resume=0.1) as served:
            slow = await connect(served.url(), max_queue=1)
            slow.transport.pause_reading()
            await slow.send(START)
            for _ in range(400):
                await slow.send(FRAME)
            times = []
            for _ in range(3):
                async with connect(served.url()) as socket:
                    began = asyncio.get_running_loop().time()
                    await words(socket, 10)
                    times.append(asyncio.get_running_loop().time() - began)
            assert max(times) < 2, times
            slow.transport.abort()
            await served.empty()

    asyncio.run(main())


def test_samples_that_are_no_numbers_are_silence_or_refused_never_an_error() -> None:
    async def main() -> None:
        async with serving() as served:
            good = np.frombuffer(FLOATS, "<f4").copy()
            good[::100] = np.nan
            good[50::200] = np.inf
            for samples, end in ((good, "done"), (np.full(8000, np.nan, "<f4"), "bad-format")):
                async with connect(served.url()) as socket:
                    await socket.send('{"type":"start","format":"f32le"}')
                    await socket.send(samples.tobytes())
                    await socket.send(END)
                    assert end in (await reason(socket))[1]
            await served.empty()

    asyncio.run(main())


LYING: dict[str, list[str | bytes]] = {
    "/v1/stream": [START, FLOATS],
    "/v1/stream#f": ['{"type":"start","format":"f32le"}', SPEECHLIKE],
    "/v1/stream#r": ['{"type":"start","rate":4000}', SPEECHLIKE],
    "/vosk": ['{"config":{"sample_rate":16000}}', FLOATS],
    "/vosk#r": ['{"config":{"sample_rate":100}}', SPEECHLIKE],
    "/vosk#n": ['{"config":{"sample_rate":1e999}}', SPEECHLIKE],
    "/sherpa": [SPEECHLIKE],
    "/v1/listen": [FLOATS],
    "/v1/listen?encoding=linear32": [SPEECHLIKE],
    "/v1/listen?sample_rate=100": [SPEECHLIKE],
    "/v1/listen?sample_rate=inf": [SPEECHLIKE],
    "/v1/listen?channels=nan": [SPEECHLIKE],
}


@pytest.mark.parametrize("path", LYING)
def test_a_wrong_rate_or_sample_type_is_refused_with_the_reason(path: str) -> None:
    async def main() -> None:
        async with serving(resume=0.1) as served:
            async with connect(served.url(path.split("#")[0])) as socket:
                with contextlib.suppress(ConnectionClosed):
                    for message in LYING[path]:
                        await socket.send(message)
                code, said = await reason(socket)
                assert code == 1008 and "serve.bad-format" in said, (code, said)
            await served.empty()

    asyncio.run(main())


@pytest.mark.parametrize("level", [1, 30, 1000, 8000, 32000])
def test_real_samples_are_never_taken_for_the_other_type(level: int) -> None:
    rng = np.random.default_rng(level)
    tone = np.sin(np.arange(48000) * 0.05) * level
    kinds = (rng.normal(0, level / 3, 48000), tone, np.sign(tone) * level)

    async def main() -> None:
        async def sink(_: Any) -> None: ...

        for sound in kinds:
            ints = np.clip(np.round(sound), -32768, 32767).astype("<i2")
            floats = (ints / 32768).astype("<f4")
            for form, right, wrong in (("s16le", ints, floats), ("f32le", floats, ints)):
                for size in (200, 640, 48000):
                    await open_audio(form, 16000, 1, sink).push(right[:size].tobytes())
                if np.count_nonzero(ints[:16000]) > 2000:
                    with pytest.raises(InputError, match="look like"):
                        await open_audio(form, 16000, 1, sink).push(wrong.tobytes())

    asyncio.run(main())


# -- Wyoming -------------------------------------------------------------------------------------

HUGE = b'{"type":"audio-chunk","payload_length":9000000000}\n'
WYOMING = {
    "not json": b"GET / HTTP/1.1\r\n\r\n",
    "huge": HUGE,
    "negative": b'{"type":"audio-chunk","payload_length":-5}\n',
    "text length": b'{"type":"audio-chunk","payload_length":"5"}\n',
    "no type": b'{"data":{}}\n',
    "data no object": b'{"type":"audio-start","data":[1]}\n',
    "no rate": b'{"type":"audio-start","data":{}}\n',
    "strange rate": b'{"type":"audio-start","data":{"rate":5,"width":2,"channels":1}}\n',
    "strange width": b'{"type":"audio-start","data":{"rate":16000,"width":3,"channels":1}}\n',
    "endless line": b"x" * 300_000,
}


@pytest.mark.parametrize("kind", WYOMING)
def test_rubbish_over_wyoming_is_refused(kind: str) -> None:
    async def main() -> None:
        async with serving(idle=2.0) as served:
            reader, writer = await asyncio.open_connection("127.0.0.1", served.wyoming)
            writer.write(WYOMING[kind])
            answer = await asyncio.wait_for(reader.readline(), 10)
            assert json.loads(answer)["type"] == "error"
            writer.close()
            await served.empty()

    asyncio.run(main())


def test_wyoming_clients_killed_in_the_middle_and_samples_of_the_wrong_type() -> None:
    def event(kind: str, payload: bytes = b"") -> bytes:
        head: dict[str, Any] = {"type": kind, "data": {"rate": 16000, "width": 2, "channels": 1}}
        if payload:
            head["payload_length"] = len(payload)
        return json.dumps(head).encode() + b"\n" + payload

    async def main() -> None:
        async with serving() as served:
            for _ in range(5):
                reader, writer = await asyncio.open_connection("127.0.0.1", served.wyoming)
                writer.write(event("audio-start") + event("audio-chunk", SPEECHLIKE))
                await reader.readline()
                writer.transport.abort()
            await served.empty()
            reader, writer = await asyncio.open_connection("127.0.0.1", served.wyoming)
            writer.write(event("audio-chunk", FLOATS))
            heard = b""
            while b"serve.bad-format" not in heard:
                heard += await asyncio.wait_for(reader.read(1000), 10)
                assert heard
            writer.close()
            await served.empty()
            await served.works()

    asyncio.run(main())


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="counts open files by /proc")
def test_many_aborted_handshakes_leave_no_file_open() -> None:
    async def main() -> None:
        async with serving() as served:
            await served.works()
            before = len(os.listdir("/proc/self/fd"))
            for _ in range(50):
                _, writer = await asyncio.open_connection("127.0.0.1", served.port)
                writer.write(b"GET /v1/stream HTTP/1.1\r\n" + struct.pack("<I", 7))
                writer.transport.abort()
            await asyncio.sleep(0.3)
            assert len(os.listdir("/proc/self/fd")) <= before + 1
            await served.works()

    asyncio.run(main())
