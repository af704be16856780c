"""Open-loop real-time clients of a recognition service, and what they saw.

Latencies are on the client's clock, from when the sample in question was due to be sent; the head
of load.py defines them.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from tools.asr_train.store import read_audio, read_manifest  # noqa: E402
from tools.wer import errors_by_utterance  # noqa: E402

RATE = 16_000
SAMPLE = ROOT / "graphs/samples/austen.flac"
SENTENCES = [(0.5, 7.6), (8.3, 11.29), (11.99, 17.29), (17.99, 24.04), (24.74, 28.03)]
"""Seconds in SAMPLE, one for each line of its text; from the README beside it."""


@dataclass(slots=True)
class Utterance:
    """``begin`` and ``end`` of the voice in samples of the client's stream."""

    text: str
    begin: int
    end: int


@dataclass(slots=True)
class Script:
    """What one client says: samples at 16 kHz and where the utterances lie in them."""

    samples: NDArray[np.float32]
    utterances: list[Utterance]


@dataclass(slots=True)
class Heard:
    """One message of the service: when, which segment, its words with their ends (s)."""

    at: float
    segment: int
    text: str
    final: bool
    ends: list[float]


@dataclass(slots=True)
class Client:
    """One client's run."""

    script: Script
    began: float = 0.0
    heard: list[Heard] = field(default_factory=list)
    lateness: list[float] = field(default_factory=list)
    refused: str = ""
    broken: str = ""

    def sent_at(self, sample: float) -> float:
        """Clock time at which ``sample`` was due to be sent."""
        return self.began + sample / RATE


def voice(samples: NDArray[np.float32]) -> tuple[int, int]:
    """First and last sample louder than -35 dB of the loud parts, by 10 ms."""
    power = (samples[: samples.size // 160 * 160].reshape(-1, 160) ** 2).mean(axis=1)
    loud = np.flatnonzero(power > np.percentile(power, 95) * 10**-3.5)
    return int(loud[0]) * 160, (int(loud[-1]) + 1) * 160


def sentences(corpus: Path | None) -> list[tuple[str, NDArray[np.float32]]]:
    """Texts and samples of a corpus, or of the shipped sample."""
    if corpus is not None:
        return [(u.text, read_audio(u.path)) for u in read_manifest(corpus / "manifest.tsv")]
    audio = read_audio(SAMPLE)
    lines = SAMPLE.with_suffix(".txt").read_text().splitlines()
    spans = [slice(int(a * RATE), int(b * RATE)) for a, b in SENTENCES]
    return [(line, audio[span]) for line, span in zip(lines, spans, strict=True)]


def scripts(corpus: Path | None, clients: int, seconds: float, pause: float) -> list[Script]:
    """One for each client; they begin at different utterances."""
    known = sentences(corpus)
    rng = np.random.default_rng(0)
    made = []
    for c in range(clients):
        parts: list[NDArray[np.float32]] = []
        said: list[Utterance] = []
        at, i = 0, c * 7
        while at < seconds * RATE:
            text, audio = known[i % len(known)]
            begin, end = voice(audio)
            said.append(Utterance(text, at + begin, at + end))
            gap = rng.normal(0, 1e-4, int(pause * RATE)).astype(np.float32)
            parts += [audio, gap]
            at, i = at + audio.size + gap.size, i + 1
        made.append(Script(np.concatenate(parts), said))
    return made


async def speak(client: Client, url: str, protocol: str, frame: float, delay: float) -> None:
    """Connect after ``delay`` s, speak, and listen until the service is done."""
    await asyncio.sleep(delay)
    try:
        async with connect(url, compression=None, max_size=None, open_timeout=20) as socket:
            if protocol == "native":
                start = {"type": "start", "version": 1, "format": "s16le", "rate": RATE}
                await socket.send(json.dumps({**start, "channels": 1}))
                first = json.loads(await socket.recv())
                if first["type"] != "ready":
                    client.refused = first.get("code", first["type"])
                    return
            listening = asyncio.create_task(listen(client, socket, protocol))
            try:
                await talk(client, socket, protocol, frame)
                await asyncio.wait_for(listening, 30)
            finally:
                listening.cancel()
                await asyncio.gather(listening, return_exceptions=True)
    except InvalidStatus as error:
        client.refused = f"HTTP {error.response.status_code}"
    except ConnectionClosed as error:
        code = error.rcvd.code if error.rcvd else 1006
        if code == 1013:
            client.refused = "close 1013"
        else:
            client.broken = f"close {code}"
    except (OSError, TimeoutError) as error:
        client.broken = type(error).__name__


async def talk(client: Client, socket: Any, protocol: str, frame: float) -> None:
    """Send at the pace of speech; note how late each frame was."""
    samples = client.script.samples
    if protocol == "native":
        data = (np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes()
        width, end = 2, json.dumps({"type": "end"})
    else:
        data, width, end = samples.astype("<f4").tobytes(), 4, "Done"
    step = int(frame * RATE)
    client.began = time.monotonic()
    for i in range(0, len(samples), step):
        due = client.sent_at(min(i + step, len(samples)))
        wait = due - time.monotonic()
        if wait > 0:
            await asyncio.sleep(wait)
        client.lateness.append(time.monotonic() - due)
        await socket.send(data[i * width : (i + step) * width])
    await socket.send(end)


async def listen(client: Client, socket: Any, protocol: str) -> None:
    async for message in socket:
        now = time.monotonic()
        if protocol == "native":
            event = json.loads(message)
            if event["type"] in ("partial", "final"):
                ends = [w["end"] for w in event["words"]]
                final = event["type"] == "final"
                heard = Heard(now, event["segment"], event["text"], final, ends)
                client.heard.append(heard)
            elif event["type"] == "error":
                client.broken = event["code"]
        elif message == "Done!":
            return
        else:
            event = json.loads(message)
            final = bool(event.get("is_final") or event.get("is_eof"))
            # its times are those of tokens, not of words
            heard = Heard(now, event["segment"], event["text"].lower(), final, [])
            client.heard.append(heard)


@dataclass(slots=True)
class Figures:
    """Seconds."""

    first: list[float] = field(default_factory=list)
    word: list[float] = field(default_factory=list)
    final: list[float] = field(default_factory=list)


def measure(clients: Sequence[Client]) -> Figures:
    """Latencies of all clients; the definitions stand at the head of this file."""
    figures = Figures()
    for client in clients:
        for utterance in client.script.utterances:
            low = client.sent_at(utterance.begin)
            high = client.sent_at(utterance.end)
            # what is heard between this voice's beginning and the next one's belongs to it
            later = [u.begin for u in client.script.utterances if u.begin > utterance.begin]
            limit = client.sent_at(later[0]) + 0.3 if later else float("inf")
            mine = [h for h in client.heard if low < h.at < limit and h.text]
            if mine:
                figures.first.append(mine[0].at - low)
            finals = [h for h in mine if h.final]
            if finals:
                figures.final.append(finals[-1].at - high)
        shown: dict[int, list[float]] = {}
        for h in client.heard:
            times = shown.setdefault(h.segment, [])
            while len(times) < len(h.text.split()):
                times.append(h.at)
            if h.final and len(h.ends) == len(h.text.split()):
                for at, end in zip(times, h.ends, strict=False):
                    figures.word.append(at - client.sent_at(end * RATE))
    return figures


def word_errors(clients: Sequence[Client]) -> float:
    """Word error rate (%) over everything that all clients said."""
    errors = words = 0
    for client in clients:
        text = " ".join(h.text for h in client.heard if h.final)
        counts = errors_by_utterance([u.text for u in client.script.utterances], text)
        errors, words = errors + sum(e for e, _ in counts), words + sum(n for _, n in counts)
    return 100.0 * errors / max(words, 1)


def percentiles(values: Sequence[float]) -> list[float]:
    """p50, p90, p99 in milliseconds; NaN without values."""
    if not values:
        return [float("nan")] * 3
    return [float(x) * 1000 for x in np.percentile(values, [50, 90, 99])]
