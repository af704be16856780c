import asyncio
import sys

import pytest

from streamer.audio.devices import find_device, list_devices, load_backend
from streamer.audio.microphone import Microphone
from streamer.errors import DeviceError
from tests.audio.fake_portaudio import FakePortAudio


def with_mic(use, **settings):
    async def main():
        backend = FakePortAudio()
        mic = Microphone(backend=backend, rate=16000, **settings)
        await mic.open()
        try:
            return await use(mic, backend.streams[0])
        finally:
            await mic.close()
            assert backend.streams[0].closed

    return asyncio.run(main())


def test_capture_time_is_the_adc_time():
    async def use(mic, stream):
        now = asyncio.get_running_loop().time() * 1e9
        stream.speak(age=0.030)
        frame, captured = await mic.read()
        assert frame.samples[:, 0].tolist() == list(range(320))
        assert captured == pytest.approx(now - 30e6, abs=20e6)

    with_mic(use)


def test_overflow_is_flagged_and_leaves_a_gap_of_the_lost_time():
    async def use(mic, stream):
        stream.speak(2)
        stream.speak(overflow=True, lost=0.5)
        stream.speak()
        frames = [(await mic.read())[0] for _ in range(4)]
        assert [f.start for f in frames] == [0, 320, 640 + 8000, 960 + 8000]
        assert [f.overflow for f in frames] == [False, False, True, False]

    with_mic(use)


def test_a_slow_reader_loses_the_oldest_and_the_callback_never_waits():
    async def use(mic, stream):
        stream.speak(100)
        starts = [(await mic.read())[0].start for _ in range(10)]
        assert starts == [i * 320 for i in range(90, 100)]

    with_mic(use, backlog=0.2)


def test_unplugging_gives_what_was_heard_and_then_fails():
    async def use(mic, stream):
        stream.speak()
        stream.unplug()
        assert (await mic.read())[0].start == 0
        with pytest.raises(DeviceError) as caught:
            await mic.read()
        assert caught.value.code == "device.lost"

    with_mic(use)


def test_a_device_that_falls_silent_is_lost():
    async def use(mic, stream):
        begin = asyncio.get_running_loop().time()
        with pytest.raises(DeviceError) as caught:
            await mic.read()
        assert caught.value.code == "device.lost"
        assert asyncio.get_running_loop().time() - begin < 3

    with_mic(use)


def test_a_busy_device():
    async def main():
        backend = FakePortAudio()
        backend.busy = True
        with pytest.raises(DeviceError) as caught:
            await Microphone("yeti", backend=backend).open()
        assert caught.value.code == "device.busy"
        assert "Blue Yeti" in caught.value.message

    asyncio.run(main())


def test_find_by_index_name_and_default():
    backend = FakePortAudio()
    assert find_device(2, backend).name == "Webcam C920"
    assert find_device("c920", backend).index == 2
    assert find_device(None, backend).name == "Blue Yeti"
    assert [d.default_output for d in list_devices(backend)] == [True, False, False]


@pytest.mark.parametrize("wanted", ["Blue Yetti", 0, 17])
def test_not_found_names_what_is_near(wanted):
    with pytest.raises(DeviceError) as caught:
        find_device(wanted, FakePortAudio())
    assert caught.value.code == "device.not-found"
    assert "Blue Yeti" in caught.value.hint


def test_without_portaudio_the_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(DeviceError) as caught:
        load_backend()
    assert caught.value.code == "device.no-portaudio"
    assert "libportaudio2" in caught.value.hint
