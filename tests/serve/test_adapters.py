"""Every foreign protocol, spoken by the real client of its system, unmodified."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import shutil
import socket as sockets
import sys
import wave
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from streamer.graph import Resources
from streamer.serve.deepgram import deepgram
from streamer.serve.gateway import Gateway
from streamer.serve.limits import Limits
from streamer.serve.openai import openai
from streamer.serve.sessions import Sessions
from streamer.serve.sherpa import sherpa
from streamer.serve.vosk import vosk

from .nodes import counting_plan

SECOND = np.zeros(16000, "<i2").tobytes()
ADAPTERS = {
    "/vosk": vosk,
    "/sherpa": sherpa,
    "/": sherpa,
    "/v1/realtime": openai,
    "/v1/listen": deepgram,
}


@contextlib.asynccontextmanager
async def gateway() -> AsyncIterator[int]:
    sessions = Sessions(counting_plan(), Limits(), Resources())
    server = Gateway(sessions, ADAPTERS)
    port = await server.start("127.0.0.1", 0)
    try:
        yield port
    finally:
        await server.stop(grace=2)
        assert not sessions.open and sessions.admission.active == 0


def test_vosk_transcriber() -> None:
    module = pytest.importorskip("vosk.transcriber.transcriber")

    async def main() -> None:
        async with gateway() as port:
            # Its constructor loads a local model even when a server does the work.
            client = module.Transcriber.__new__(module.Transcriber)
            client.args = SimpleNamespace(server=f"ws://127.0.0.1:{port}/vosk")
            code = "import sys; sys.stdout.buffer.write(bytes(4000 * 25))"
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE
            )
            result, seen = await client.recognize_stream_server(process)
            await process.wait()
            assert seen == 100_000
            texts = " ".join(r["text"] for r in result if r["text"])
            assert texts.endswith("samples 50000")

    asyncio.run(main())


def test_vosk_answers_every_audio_message_once() -> None:
    async def main() -> None:
        async with gateway() as port, connect(f"ws://127.0.0.1:{port}/vosk") as client:
            await client.send('{"config":{"sample_rate":16000,"words":1}}')
            for _ in range(12):
                await client.send(SECOND)
                reply = json.loads(await asyncio.wait_for(client.recv(), 5))
                assert "partial" in reply or "text" in reply
            await client.send('{"reset" : 1}')
            assert "text" in json.loads(await asyncio.wait_for(client.recv(), 5))
            await client.send('{"eof" : 1}')
            assert "text" in json.loads(await asyncio.wait_for(client.recv(), 5))
            with pytest.raises(ConnectionClosed):
                await asyncio.wait_for(client.recv(), 5)

    asyncio.run(main())


def _wav(path: Path, seconds: float) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(bytes(2 * int(16000 * seconds)))
    return path


def test_sherpa_onnx_client_program(tmp_path: Path) -> None:
    program = shutil.which("sherpa-onnx-online-websocket-client") or str(
        Path(sys.executable).with_name("sherpa-onnx-online-websocket-client")
    )
    if not Path(program).exists():
        pytest.skip("sherpa-onnx-bin is not installed")
    speech = _wav(tmp_path / "a.wav", 2.5)

    async def main() -> str:
        async with gateway() as port:
            process = await asyncio.create_subprocess_exec(
                program,
                f"--server-port={port}",
                "--seconds-per-message=0.01",
                str(speech),
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
            output, _ = await asyncio.wait_for(process.communicate(), 30)
            assert process.returncode == 0, output
            return output.decode()

    output = asyncio.run(main())
    assert "segment 0 samples 40000" in output
    assert "Done!" in output


def test_sherpa_refuses_samples_of_the_wrong_type() -> None:
    async def main() -> None:
        async with gateway() as port, connect(f"ws://127.0.0.1:{port}/sherpa") as client:
            noise = np.random.default_rng(0).integers(-3000, 3000, 8000).astype("<i2")
            await client.send(noise.tobytes())
            with pytest.raises(ConnectionClosed) as closed:
                await asyncio.wait_for(client.recv(), 5)
            assert closed.value.rcvd is not None
            assert "16-bit integers" in closed.value.rcvd.reason

    asyncio.run(main())


def test_openai_sdk() -> None:
    sdk = pytest.importorskip("openai")

    async def main() -> None:
        async with gateway() as port:
            client = sdk.AsyncOpenAI(
                api_key="none",
                base_url=f"http://127.0.0.1:{port}/v1",
                websocket_base_url=f"ws://127.0.0.1:{port}/v1",
            )
            extra = {"intent": "transcription"}
            async with client.realtime.connect(model="streamer", extra_query=extra) as connection:
                assert (await connection.recv()).type == "session.created"
                form = {"type": "audio/pcm", "rate": 16000}
                await connection.session.update(
                    session={"type": "transcription", "audio": {"input": {"format": form}}}
                )
                updated = await connection.recv()
                assert updated.type == "session.updated"
                for _ in range(3):
                    audio = base64.b64encode(SECOND).decode()
                    await connection.input_audio_buffer.append(audio=audio)
                await connection.input_audio_buffer.commit()
                deltas = ""
                while True:
                    event = await asyncio.wait_for(connection.recv(), 10)
                    if event.type.endswith("transcription.delta"):
                        deltas += event.delta
                    if event.type.endswith("transcription.completed"):
                        break
                assert event.transcript == deltas == "segment 0 samples 48000"
                await connection.input_audio_buffer.append(audio="not base64!")
                error = await asyncio.wait_for(connection.recv(), 10)
                assert error.type == "error" and error.error.code == "serve.bad-message"
            await client.close()

    asyncio.run(main())


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_deepgram_sdk() -> None:
    sdk = pytest.importorskip("deepgram")

    async def main() -> list[Any]:
        async with gateway() as port:
            url = f"ws://127.0.0.1:{port}"
            environment = sdk.DeepgramClientEnvironment(
                base=f"http://127.0.0.1:{port}", production=url, agent=url, agent_rest=url
            )
            client = sdk.AsyncDeepgramClient(api_key="none", environment=environment)
            messages: list[Any] = []
            async with client.listen.v1.connect(
                model="nova-3", encoding="linear16", sample_rate=16000, interim_results="true"
            ) as connection:
                await connection.send_keep_alive()
                for _ in range(3):
                    await connection.send_media(SECOND)
                await connection.send_finalize()
                await connection.send_media(SECOND)
                await connection.send_close_stream()
                async with asyncio.timeout(15):
                    async for message in connection:
                        messages.append(message)
                        if message.type == "Metadata":
                            break
            return messages

    messages = asyncio.run(main())
    results = [m for m in messages if m.type == "Results"]
    finals = [r for r in results if r.is_final]
    assert [f.channel.alternatives[0].transcript for f in finals] == [
        "segment 0 samples 48000",
        "segment 1 samples 64000",
    ]
    assert finals[0].from_finalize and not finals[0].speech_final
    assert finals[1].speech_final
    assert any(not r.is_final for r in results)
    assert messages[-1].duration == 4.0


def test_deepgram_refuses_an_unknown_encoding() -> None:
    async def main() -> None:
        url = "/v1/listen?encoding=amr-nb"
        async with gateway() as port, connect(f"ws://127.0.0.1:{port}{url}") as client:
            with pytest.raises(ConnectionClosed) as closed:
                await asyncio.wait_for(client.recv(), 5)
            assert closed.value.rcvd is not None
            assert "serve.bad-format" in closed.value.rcvd.reason

    asyncio.run(main())


def test_wyoming_client() -> None:
    pytest.importorskip("wyoming")
    from wyoming.asr import Transcribe, Transcript, TranscriptChunk
    from wyoming.audio import AudioChunk, AudioStart, AudioStop
    from wyoming.client import AsyncClient
    from wyoming.info import Describe, Info

    from streamer.serve.wyoming import serve_wyoming

    async def main() -> None:
        with sockets.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        sessions = Sessions(counting_plan(), Limits(), Resources())
        async with (
            serve_wyoming(sessions, "127.0.0.1", port, ["en"]),
            AsyncClient.from_uri(f"tcp://127.0.0.1:{port}") as client,
        ):
            await client.write_event(Describe().event())
            event = await asyncio.wait_for(client.read_event(), 5)
            assert event is not None and Info.from_event(event).asr[0].models[0].languages == ["en"]
            for _ in range(2):  # two utterances on one connection
                await client.write_event(Transcribe(language="en").event())
                await client.write_event(AudioStart(16000, 2, 1).event())
                for _ in range(3):
                    await client.write_event(AudioChunk(16000, 2, 1, SECOND).event())
                await client.write_event(AudioStop().event())
                chunks, text = "", None
                while text is None:
                    event = await asyncio.wait_for(client.read_event(), 5)
                    assert event is not None
                    if TranscriptChunk.is_type(event.type):
                        chunks += TranscriptChunk.from_event(event).text
                    elif Transcript.is_type(event.type):
                        text = Transcript.from_event(event).text
                assert text == chunks == "segment 0 samples 48000"
        await asyncio.sleep(0.1)
        assert not sessions.open and sessions.admission.active == 0

    asyncio.run(main())
