import io
import wave

import av
import numpy as np
import pytest

from streamer.audio.decode import AudioReader, decode
from streamer.errors import InputError
from tests.audio.signals import tone, write


def everything(source, chunk=0.02):
    reader = AudioReader(source, chunk=chunk)
    with reader:
        frames = list(reader)
    return reader, frames


@pytest.mark.parametrize(
    ("suffix", "codec", "sample_format", "rate", "channels", "tolerance"),
    [
        ("wav", "pcm_u8", "u8", 8000, 1, 1e-2),
        ("wav", "pcm_s16le", "s16", 44100, 2, 1e-4),
        ("wav", "pcm_s24le", "s32", 48000, 2, 1e-6),
        ("wav", "pcm_f32le", "flt", 16000, 1, 0),
        ("flac", "flac", "s16", 16000, 1, 1e-4),
        ("ogg", "libopus", "flt", 48000, 1, 0.05),
        ("mp3", "libmp3lame", "fltp", 44100, 2, 0.05),
        ("m4a", "aac", "fltp", 48000, 2, 0.05),
    ],
)
def test_formats(tmp_path, suffix, codec, sample_format, rate, channels, tolerance):
    sound = tone(1.0, rate, channels)
    path = write(tmp_path / f"a.{suffix}", sound, rate, codec, sample_format)
    reader, frames = everything(str(path))
    assert (reader.rate, reader.channels) == (rate, channels)
    assert reader.duration == pytest.approx(1.0, abs=0.1)
    assert reader.problems == []
    assert [f.start for f in frames[:3]] == [0, rate // 50, 2 * (rate // 50)]
    samples = np.concatenate([f.samples for f in frames])
    assert samples.dtype == np.float32
    assert len(samples) == pytest.approx(len(sound), abs=0.06 * rate)
    middle = slice(rate // 4, rate // 2)
    if tolerance < 0.05:
        assert np.abs(samples[middle] - sound[middle]).max() <= tolerance
    assert np.std(samples[middle]) == pytest.approx(np.std(sound[middle]), rel=0.05)


def test_the_chunk_does_not_matter(sample):
    whole = np.concatenate([f.samples for f in decode(sample, chunk=1000.0)])
    for chunk in (0.001, 0.0333, 0.5):
        assert np.array_equal(
            whole, np.concatenate([f.samples for f in decode(sample, chunk=chunk)])
        )


def test_file_objects(sample):
    data = sample.read_bytes()
    assert sum(len(f.samples) for f in decode(io.BytesIO(data))) == 456480


def test_silence_clipping_and_offset_stay(tmp_path):
    sound = np.concatenate([np.zeros(800), np.full(800, 1.7), np.full(800, 0.3)])
    path = write(tmp_path / "a.wav", sound[:, None].astype(np.float32), 16000, "pcm_f32le", "flt")
    _, frames = everything(path)
    assert np.array_equal(np.concatenate([f.samples[:, 0] for f in frames]), sound.astype("f4"))


def test_nan_is_replaced_and_counted(tmp_path):
    sound = tone(0.1, 16000)
    sound[[3, 70], 0] = np.nan
    sound[500, 0] = np.inf
    reader, frames = everything(write(tmp_path / "a.wav", sound, 16000, "pcm_f32le", "flt"))
    samples = np.concatenate([f.samples for f in frames])
    assert reader.replaced == 3
    assert samples[[3, 70, 500], 0].tolist() == [0, 0, 0]


def test_no_samples(tmp_path):
    path = tmp_path / "a.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
    reader, frames = everything(path)
    assert frames == []
    assert reader.problems == []


@pytest.mark.parametrize(
    ("suffix", "codec", "sample_format", "told"),
    [
        ("wav", "pcm_s16le", "s16", True),
        ("flac", "flac", "s16", True),
        ("mp3", "libmp3lame", "s16p", True),
        ("ogg", "libopus", "flt", False),
    ],
)
def test_truncated_files_give_all_up_to_the_cut(tmp_path, suffix, codec, sample_format, told):
    noise = 0.1 * np.random.default_rng(0).standard_normal((48000 * 6, 1)).astype(np.float32)
    path = write(tmp_path / f"a.{suffix}", noise, 48000, codec, sample_format)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    reader, frames = everything(path)
    seconds = sum(f.duration for f in frames)
    assert 1.9 < seconds < 3.2
    assert ("audio.truncated" in [p.code for p in reader.problems]) == told


def test_video_without_sound(tmp_path):
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for _ in range(5):
            picture = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), "rgb24")
            out.mux(stream.encode(picture))
        out.mux(stream.encode(None))
    with pytest.raises(InputError) as caught:
        AudioReader(path)
    assert caught.value.code == "audio.no-sound"


def test_video_with_sound(tmp_path):
    path = write(tmp_path / "a.mkv", tone(0.5, 48000), 48000, "libopus", "flt")
    assert sum(f.duration for f in decode(path)) == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("content", [None, b"", b"this is no sound at all\n" * 50])
def test_missing_and_unreadable(tmp_path, content):
    path = tmp_path / "a.wav"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        AudioReader(path)
    assert caught.value.code == ("audio.not-found" if content is None else "audio.unreadable")
    assert str(path) in caught.value.message


def test_a_folder_is_unreadable(tmp_path):
    with pytest.raises(InputError) as caught:
        AudioReader(tmp_path)
    assert caught.value.code == "audio.unreadable"
