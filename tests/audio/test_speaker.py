import asyncio

import numpy as np
import pytest

from streamer.audio.devices import find_device
from streamer.audio.speaker import Speaker
from streamer.errors import DeviceError
from tests.audio.fake_portaudio import FakePortAudio

RATE = 24000
BLOCK = RATE // 100


def with_speaker(use, **settings):
    async def main():
        backend = FakePortAudio()
        speaker = Speaker(RATE, backend=backend, **settings)
        await speaker.open()
        try:
            return await use(speaker, backend.streams[0])
        finally:
            await speaker.close()
            assert backend.streams[0].closed

    return asyncio.run(main())


def test_what_is_written_is_heard_on_all_channels_then_silence():
    async def use(speaker, stream):
        sound = np.linspace(0.1, 0.5, 2 * BLOCK + 10, dtype=np.float32)
        await speaker.write(sound)
        heard = stream.listen(4)
        assert np.allclose(heard[: len(sound)], sound)
        assert not heard[len(sound) :].any()

    with_speaker(use)


def test_a_writer_is_held_back_by_the_device():
    async def use(speaker, stream):
        writing = asyncio.create_task(speaker.write(np.ones(10 * BLOCK, np.float32)))
        await asyncio.sleep(0.02)
        assert not writing.done()
        stream.listen(5)
        await asyncio.sleep(0.02)
        assert not writing.done()
        stream.listen(1)
        await asyncio.wait_for(writing, 1)

    with_speaker(use, ahead=0.04)


def test_silence_fades_within_5_ms_and_frees_the_writer():
    async def use(speaker, stream):
        writing = asyncio.create_task(speaker.write(np.ones(RATE, np.float32)))
        await asyncio.sleep(0.01)
        stream.listen(2)
        assert speaker.silence() == RATE - 2 * BLOCK
        heard = stream.listen(2)
        assert heard[0] == 1 and not heard[RATE // 200 :].any()
        assert np.abs(np.diff(heard)).max() < 0.05
        await asyncio.wait_for(writing, 1)

    with_speaker(use)


def test_underruns_are_counted_only_in_the_middle_of_a_sound():
    async def use(speaker, stream):
        stream.listen(3)
        assert speaker.underruns == 0
        await speaker.write(np.ones(BLOCK // 2, np.float32))
        stream.listen(2)
        assert speaker.underruns == 2
        speaker.pause()
        stream.listen(2)
        assert speaker.underruns == 2

    with_speaker(use)


def test_a_device_that_goes_away_is_named():
    async def use(speaker, stream):
        writing = asyncio.create_task(speaker.write(np.ones(RATE, np.float32)))
        await asyncio.sleep(0.01)
        stream.unplug()
        with pytest.raises(DeviceError) as caught:
            await asyncio.wait_for(writing, 2)
        assert caught.value.code == "device.lost" and "Speaker" in str(caught.value)

    with_speaker(use)


def test_a_busy_or_missing_speaker_is_refused():
    backend = FakePortAudio()
    with pytest.raises(DeviceError, match="no loudspeaker 'Blue'") as caught:
        find_device("Blue", backend, kind="output")
    assert caught.value.code == "device.not-found"
    backend.busy = True
    with pytest.raises(DeviceError, match="cannot be opened") as caught:
        asyncio.run(Speaker(RATE, backend=backend).open())
    assert caught.value.code == "device.busy"


def test_a_device_that_does_not_know_the_rate_gets_converted_sound():
    async def main():
        backend = FakePortAudio()
        backend.rates = {48000}
        speaker = Speaker(RATE, backend=backend)
        await speaker.open()
        (stream,) = backend.streams
        assert stream.settings["samplerate"] == 48000
        wave = 0.5 * np.sin(np.arange(RATE) * 0.1).astype(np.float32)
        for _ in range(2):  # the second sound begins anew
            writing = asyncio.create_task(speaker.write(wave))
            heard = []
            while not writing.done():
                await asyncio.sleep(0)
                heard.append(stream.listen(1))
            speaker.pause()
            heard.append(stream.listen(20))
            sound = np.concatenate(heard)[: 2 * RATE]
            whole = np.interp(np.arange(2 * RATE) / 2, np.arange(RATE), wave)
            assert np.abs(sound - whole)[100:-100].max() < 0.02
        await speaker.write(wave[:480])
        assert speaker.silence() <= 480 and not stream.listen(2)[240:].any()
        await speaker.close()

    asyncio.run(main())
