"""A voice behind any OpenAI-compatible ``/audio/speech`` endpoint, heard while it is being sent."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np

from streamer.endpoints import bearer, reason_of
from streamer.errors import ModelError
from streamer.packets import Samples, Word
from streamer.tts.voice import Run, spread

__all__ = ["EndpointVoice"]

PIECE = 0.1
"""Seconds of sound in a run."""
PACE = 14.0
"""Characters spoken in a second, until the first clause has told."""


class EndpointVoice:
    """Posts each clause to ``url`` + ``/audio/speech`` and gives the sound as it arrives.

    ``response_format`` is ``pcm``: 16 bit mono at ``rate`` Hz (OpenAI and its look-alikes: 24000).
    ``timeout`` is the longest silence (s) of the server. The protocol tells no word times: they
    are spread by length at the pace of the clauses before. Safe to share between threads.
    """

    def __init__(
        self,
        url: str,
        *,
        model: str,
        voice: str,
        key: str = "",
        speed: float = 1.0,
        rate: int = 24000,
        timeout: float = 10.0,
    ) -> None:
        try:
            import httpx
        except ImportError as error:
            raise ModelError(
                "A speech endpoint needs the package httpx.",
                code="tts.endpoint.missing",
                hint="pip install 'streamer[http]'",
            ) from error
        self.rate = rate
        self.url = url.rstrip("/") + "/audio/speech"
        self._httpx = httpx
        self._settings = {
            "model": model,
            "voice": voice,
            "speed": speed,
            "response_format": "pcm",
        }
        self._client = httpx.Client(
            headers=bearer(key),
            timeout=httpx.Timeout(timeout, connect=min(timeout, 5.0)),
        )
        self._pace = PACE
        self._lock = threading.Lock()

    def close(self) -> None:
        """Give up all connections."""
        self._client.close()

    def speak(self, text: str) -> Iterator[Run]:
        """Runs of about 0.1 s. Raises ModelError ``tts.endpoint.*``.

        Closing the iterator in the middle ends the request.
        """
        words = list(spread(text, len(text) / self._pace))
        received = 0
        held: Samples = np.zeros(0, np.float32)
        for piece in self._receive(text):
            if held.size:
                received += held.size
                yield Run(held, tuple(_begun(words, received / self.rate)))
            held = piece
        length = (received + held.size) / self.rate
        rest = tuple(Word(w.text, min(w.start, length), length) for w in words)
        if length:
            yield Run(held, rest)
            with self._lock:
                self._pace += 0.5 * (len(text) / length - self._pace)

    def _receive(self, text: str) -> Iterator[Samples]:
        httpx = self._httpx
        size = int(PIECE * self.rate) * 2
        try:
            with self._client.stream("POST", self.url, json={"input": text} | self._settings) as r:
                if r.status_code != 200:
                    raise self._refused(r.status_code, r.read())
                rest = b""
                for i, data in enumerate(r.iter_bytes(size)):
                    if i == 0 and (data[:4] in (b"RIFF", b"OggS", b"fLaC") or data[:3] == b"ID3"):
                        raise self._not_pcm(data[:4])
                    data = rest + data
                    whole = len(data) & ~1
                    rest = data[whole:]
                    if whole:
                        values = np.frombuffer(data[:whole], "<i2").astype(np.float32)
                        yield values * np.float32(2**-15)
        except httpx.ConnectError as error:
            raise ModelError(
                f"The speech endpoint {self.url} cannot be reached: {error}.",
                code="tts.endpoint.unreachable",
                hint="Is the server running, and is `url` right (it usually ends in /v1)?",
            ) from error
        except httpx.TimeoutException as error:
            raise ModelError(
                f"The speech endpoint {self.url} sent nothing for too long.",
                code="tts.endpoint.slow",
                hint="Give it a larger `timeout`, or use the voice that ships: `engine: hibari`.",
            ) from error
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise ModelError(
                f"The speech endpoint {self.url} broke off: {error}.",
                code="tts.endpoint.broken",
                hint="What had arrived is spoken; the server's log may tell more.",
            ) from error

    def _refused(self, status: int, body: bytes) -> ModelError:
        return ModelError(
            f"The speech endpoint {self.url} answered {status}: {reason_of(body)}",
            code="tts.endpoint.refused",
            hint="Check `model`, `voice`, and the key in the environment.",
        )

    def _not_pcm(self, magic: bytes) -> ModelError:
        return ModelError(
            f"The speech endpoint {self.url} sent {magic.decode('latin-1').strip()!r} data "
            "instead of plain PCM.",
            code="tts.endpoint.format",
            hint="The server must know `response_format: pcm`.",
        )


def _begun(words: list[Word], now: float) -> list[Word]:
    """Take out the words that have begun by ``now`` seconds."""
    count = sum(word.start < now for word in words)
    begun, words[:count] = words[:count], []
    return begun
