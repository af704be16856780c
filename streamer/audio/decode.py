"""Files and containers to audio frames, through FFmpeg (PyAV)."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from typing import Any, BinaryIO

import av
import numpy as np

from streamer.audio.samples import clean, to_float
from streamer.errors import InputError
from streamer.packets import AudioFrame, Samples

__all__ = ["AudioReader", "decode"]

_SHORTFALL = 0.25
"""Seconds that may be missing against the header before a file counts as truncated."""


class AudioReader:
    """The sound of a file, path or readable binary object, frame by frame.

    ``rate`` (Hz) and ``channels`` as in the file; ``duration`` in seconds, None if not known.
    Iterate to get :class:`AudioFrame` objects of ``chunk`` seconds. NaN and infinite samples
    become 0 and are counted in ``replaced``. Damaged packets are left out: the next frame's
    ``start`` shows the gap. After the last frame ``problems`` lists what was wrong with the file.

    Raises InputError: ``audio.not-found``, ``audio.unreadable``, ``audio.no-sound``.
    """

    def __init__(self, source: str | os.PathLike[str] | BinaryIO, *, chunk: float = 0.02) -> None:
        is_path = isinstance(source, str | os.PathLike)
        self.name = os.fspath(source) if is_path else getattr(source, "name", "the input")  # type: ignore[arg-type]
        self.chunk = chunk
        self.replaced = 0
        self.problems: list[InputError] = []
        self._container = self._open(os.fspath(source) if is_path else source)  # type: ignore[arg-type]
        streams = self._container.streams.audio
        if not streams:
            self._container.close()
            raise InputError(
                f"{self.name} has no sound.",
                code="audio.no-sound",
                hint="Choose a file with an audio track.",
            )
        self._stream = self._container.streams.best("audio") or streams[0]
        self.rate = int(self._stream.codec_context.sample_rate)
        self.channels = int(self._stream.codec_context.channels)
        self.duration = self._duration()
        self._frames = self._rechunk()

    def __iter__(self) -> Iterator[AudioFrame]:
        return self._frames

    def __enter__(self) -> AudioReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def read(self, seconds: float) -> list[AudioFrame]:
        """Frames of about ``seconds`` in all; an empty list at the end."""
        frames: list[AudioFrame] = []
        total = 0.0
        while total < seconds and (frame := next(self._frames, None)) is not None:
            frames.append(frame)
            total += frame.duration
        return frames

    def close(self) -> None:
        """Close the file; may be called twice."""
        self._frames.close()
        self._container.close()

    def _open(self, source: Any) -> Any:
        try:
            return av.open(source, "r")
        except FileNotFoundError as error:
            raise InputError(
                f"There is no file {self.name}.",
                code="audio.not-found",
                hint="Check the path.",
            ) from error
        except (OSError, ValueError) as error:
            raise InputError(
                f"{self.name} cannot be read as sound: {getattr(error, 'strerror', error)}.",
                code="audio.unreadable",
                hint="Check that it is an audio or video file that you may read.",
            ) from error

    def _duration(self) -> float | None:
        stream, container = self._stream, self._container
        if stream.duration is not None and stream.duration > 0:
            return float(stream.duration * stream.time_base)
        if container.duration is not None and container.duration > 0:
            return float(container.duration / av.time_base)
        return None

    def _packets(self) -> Iterator[Any]:
        try:
            yield from self._container.demux(self._stream)
        except (av.FFmpegError, EOFError):
            self._truncated()

    def _decoded(self) -> Iterator[tuple[Samples, int | None]]:
        damaged = 0
        jumped = False
        for packet in self._packets():
            try:
                frames = packet.decode()
            except av.FFmpegError:
                damaged += 1
                jumped = True
                continue
            for frame in frames:
                at = round(float(frame.pts * frame.time_base) * self.rate) if frame.pts else None
                yield self._samples(frame), at if jumped else None
                jumped = False
        if damaged:
            self.problems.append(
                InputError(
                    f"{damaged} damaged packets of {self.name} were left out.",
                    code="audio.damaged",
                    hint="What could be read has been used.",
                )
            )

    def _samples(self, frame: Any) -> Samples:
        if frame.sample_rate != self.rate or frame.layout.nb_channels != self.channels:
            raise InputError(
                f"{self.name} changes to {frame.sample_rate} Hz, {frame.layout.nb_channels} "
                f"channels in the middle.",
                code="audio.format-changed",
                hint="Convert the input to one rate first.",
            )
        array = frame.to_ndarray()
        shaped = array.T if frame.format.is_planar else array.reshape(-1, self.channels)
        samples, bad = clean(to_float(shaped))
        self.replaced += bad
        return samples

    def _rechunk(self) -> Generator[AudioFrame, None, None]:
        size = max(1, round(self.chunk * self.rate))
        held: list[Samples] = []
        start = count = 0
        for samples, at in self._decoded():
            if at is not None and at > start + count:
                if count:
                    yield AudioFrame(np.concatenate(held), self.rate, start)
                held, start, count = [], at, 0
            held.append(samples)
            count += samples.shape[0]
            if count < size:
                continue
            joined = np.concatenate(held) if len(held) > 1 else samples
            whole = count // size * size
            for i in range(0, whole, size):
                yield AudioFrame(joined[i : i + size], self.rate, start + i)
            held, start, count = [joined[whole:]], start + whole, count - whole
        if count:
            yield AudioFrame(np.concatenate(held), self.rate, start)
        read = (start + count) / self.rate
        if self.duration is not None and read < self.duration - _SHORTFALL:
            self._truncated(read)
        elif self._container.format.name == "wav" and _riff_is_cut(self.name):
            self._truncated()

    def _truncated(self, read: float | None = None) -> None:
        if any(problem.code == "audio.truncated" for problem in self.problems):
            return
        where = "" if read is None else f" after {read:.2f} of {self.duration:.2f} s"
        self.problems.append(
            InputError(
                f"{self.name} is cut off{where}.",
                code="audio.truncated",
                hint="Everything up to the cut has been used.",
            )
        )


def _riff_is_cut(path: str) -> bool:
    """Whether a WAV file is shorter than its header says, which FFmpeg does not tell."""
    try:
        with open(path, "rb") as file:
            head = file.read(8)
            length = file.seek(0, os.SEEK_END)
    except OSError:
        return False
    size = int.from_bytes(head[4:8], "little")
    # Writers to a pipe cannot know the size and put 0 or the largest number there.
    return head[:4] == b"RIFF" and 0 < size < 0x7FFFFFFF and length < size + 8


def decode(
    source: str | os.PathLike[str] | BinaryIO, *, chunk: float = 0.02
) -> Iterator[AudioFrame]:
    """The frames of :class:`AudioReader`, with the file closed at the end."""
    with AudioReader(source, chunk=chunk) as reader:
        yield from reader
