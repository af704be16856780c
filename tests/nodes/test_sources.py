import asyncio
import io
import os
import threading
from types import SimpleNamespace

import numpy as np
import pytest

from streamer.errors import DeviceError, InputError
from streamer.graph import QueueSpec, RestartSpec, virtual
from streamer.nodes.convert_audio import ConvertAudio
from streamer.nodes.source_file import SourceFile
from streamer.nodes.source_mic import SourceMic
from streamer.nodes.source_stdin import SourceStdin
from streamer.nodes.vad_silero import VadSilero
from tests.audio.fake_portaudio import FakePortAudio
from tests.audio.signals import tone, write
from tests.nodes.graphs import chain


def test_a_file_at_real_time_pace_keeps_the_clock(sample):
    engine, got = chain((SourceFile, {"path": str(sample)}))

    async def main():
        begin = asyncio.get_running_loop().time()
        await engine.run()
        return asyncio.get_running_loop().time() - begin, begin

    took, begin = virtual.run(main())
    assert took == pytest.approx(28.53, abs=0.05)
    assert sum(len(frame.samples) for frame, _ in got) == 456480
    for frame, stamp in got:
        assert stamp.position == frame.end
        assert stamp.captured_ns == pytest.approx((begin + frame.end / 16000) * 1e9, abs=1e7)
    assert engine.runners["n0"].node.duration == pytest.approx(28.53)


def test_a_file_as_fast_as_possible(sample):
    engine, got = chain((SourceFile, {"path": str(sample), "pace": "fast", "chunk": "100ms"}))
    virtual.run(engine.run())
    assert len(got) == 286


def test_a_missing_file_ends_the_run(tmp_path):
    engine, _ = chain((SourceFile, {"path": str(tmp_path / "no.wav")}))
    with pytest.raises(InputError) as caught:
        virtual.run(engine.run())
    assert caught.value.code == "audio.not-found"


def test_a_cut_file_is_reported_and_used(tmp_path, sample):
    path = tmp_path / "cut.flac"
    path.write_bytes(sample.read_bytes()[:200_000])
    engine, got = chain((SourceFile, {"path": str(path), "pace": "fast"}))
    virtual.run(engine.run())
    assert got[-1][1].seconds > 8
    assert [report.error.code for report in engine.reports][-1] == "audio.truncated"


@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (44100, 1), (48000, 2)])
def test_conversion_keeps_time_and_age(tmp_path, rate, channels):
    path = write(tmp_path / "a.wav", tone(2, rate, channels), rate, "pcm_s16le", "s16")
    engine, got = chain((SourceFile, {"path": str(path)}), (ConvertAudio, {}))

    async def main():
        begin = asyncio.get_running_loop().time()
        await engine.run()
        return begin

    begin = virtual.run(main())
    assert abs(got[-1][0].end - 32000) <= 1
    for frame, stamp in got:
        assert (frame.rate, frame.channels, stamp.rate) == (16000, 1, 16000)
        assert stamp.captured_ns == pytest.approx((begin + frame.end / 16000) * 1e9, abs=1e6)


def test_what_fits_passes_untouched(sample):
    async def main():
        engine, got = chain((SourceFile, {"path": str(sample), "pace": "fast"}))
        await engine.run()
        sent = []
        node = ConvertAudio()
        node.out.bind(ConvertAudio.ports()[1]["out"], lambda _, value, __: keep(sent, value))
        for frame, _ in got[:10]:
            await node.process(frame)
        return [frame for frame, _ in got[:10]], sent

    async def keep(sent, value):
        sent.append(value)

    given, sent = virtual.run(main())
    assert all(a is b for a, b in zip(given, sent, strict=True))


def test_vad_in_a_graph(sample):
    engine, got = chain((SourceFile, {"path": str(sample), "pace": "fast"}), (VadSilero, {}))
    virtual.run(engine.run())
    ends = [span for span, _ in got if span.state == "end"]
    assert len(ends) >= 5
    assert ends[-1].speech_end == pytest.approx(28.0, abs=0.6)
    assert len(got) == 2 * len(ends)


def stdin(monkeypatch, raw):
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=raw))


def test_raw_samples_from_standard_input(monkeypatch):
    sound = tone(1, 8000, 2)
    sound[5, 0] = np.nan
    data = sound.astype("<f4").tobytes() + b"xy"
    stdin(monkeypatch, io.BytesIO(data))
    settings = {"format": "f32le", "rate": 8000, "channels": 2}
    engine, got = chain((SourceStdin, settings))
    asyncio.run(engine.run())
    heard = np.concatenate([frame.samples for frame, _ in got])
    sound[5, 0] = 0
    assert np.array_equal(heard, sound)
    assert [report.error.code for report in engine.reports] == ["audio.not-finite"]


def test_a_silent_pipe_does_not_hold_up_the_end(monkeypatch):
    reading, writing = os.pipe()
    raw = os.fdopen(reading, "rb")
    stdin(monkeypatch, raw)
    engine, _ = chain((SourceStdin, {}))

    async def main():
        asyncio.get_running_loop().call_later(0.1, engine.stop)
        async with asyncio.timeout(1.5):
            await engine.run()

    asyncio.run(main())
    os.close(writing)
    for thread in threading.enumerate():
        if thread.name == "stdin":
            thread.join(5)
    raw.close()


def test_a_microphone_comes_back_after_it_was_unplugged(monkeypatch):
    backend = FakePortAudio()
    monkeypatch.setattr(SourceMic, "backend", backend)
    restart = RestartSpec("on_failure", backoff=0.2)
    queue = QueueSpec(when_full="drop_oldest")
    engine, got = chain((SourceMic, {"rate": 16000}), restart=restart, queue=queue)

    async def main():
        run = asyncio.create_task(engine.run())
        await until(lambda: backend.streams and backend.streams[0].active)
        backend.streams[0].speak(5)
        await until(lambda: len(got) == 5)
        backend.streams[0].unplug()
        await until(lambda: len(backend.streams) == 2 and backend.streams[1].active)
        backend.streams[1].speak(5)
        await until(lambda: len(got) == 10)
        engine.stop()
        backend.streams[1].speak()
        await run

    asyncio.run(main())
    assert engine.reports[0].error.code == "device.lost"
    starts = [frame.start for frame, _ in got]
    assert starts[4] == 1280
    assert starts[5] >= 0.2 * 16000
    assert backend.streams[0].closed
    assert backend.streams[1].closed


def test_an_unplugged_microphone_ends_a_graph_that_may_not_restart(monkeypatch):
    backend = FakePortAudio()
    monkeypatch.setattr(SourceMic, "backend", backend)
    engine, got = chain((SourceMic, {"rate": 16000}))

    async def main():
        run = asyncio.create_task(engine.run())
        await until(lambda: backend.streams and backend.streams[0].active)
        backend.streams[0].speak(3)
        backend.streams[0].unplug()
        await run

    with pytest.raises(DeviceError) as caught:
        asyncio.run(main())
    assert caught.value.code == "device.lost"
    assert len(got) == 3


async def until(condition):
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
