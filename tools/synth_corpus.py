#!/usr/bin/env python
"""Make training speech from public-domain sentences with offline voices.

    synth_corpus.py OUT --text CORPUS/text --hours 5 --voices hibari:8,flite:1 [--max-words 9]

Writes ``OUT/manifest.tsv`` (utt_id, path, duration_s, speaker, text) and 16 kHz mono FLAC
files; run again with a larger ``--hours`` to go on. Sentences whose hash falls into the
held-back fiftieth and the voice ``flite-rms`` are used only with ``--split test``.

Variation: speaking rate, pitch (the F0 curve is scaled and flattened or stretched before
the waveform is made), formants (resampling by 0.72-1.15), level, room (exponentially
decaying noise as impulse response) and noise for a share of the utterances. Most
augmentation happens during training on features; here is what needs a waveform.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tools.asr_train.kokoro import kokoro_voice
from tools.asr_train.text import is_clean, normalise

Audio = NDArray[np.float32]
Voice = Callable[[str, np.random.Generator], tuple[Audio, str]]
RATE = 16_000
HELD_BACK_VOICE = "rms"


def held_back(sentence: str) -> bool:
    """True for the fiftieth of all sentences that only test sets may use."""
    return int(hashlib.sha1(normalise(sentence).encode()).hexdigest()[:8], 16) % 50 == 0


def hibari_voice() -> Voice:
    """The neural voice; its F0 curve is changed before synthesis, its formants after."""
    from hibari import Hibari, dsp  # type: ignore[import-not-found, unused-ignore]

    tts = Hibari(threads=1)

    def speak(text: str, rng: np.random.Generator) -> tuple[Audio, str]:
        formant = float(rng.uniform(0.72, 1.15))
        pitch = float(np.clip(formant * np.exp(rng.normal(0.0, 0.18)), 0.45, 1.5)) / formant
        expression = float(rng.uniform(0.5, 1.4))
        pace = float(rng.uniform(0.8, 1.3)) / formant
        parts: list[Audio] = []
        for phonemes in tts.phonemize(text):
            ids = np.asarray([tts.ids(phonemes)], np.int64)
            feed = {"ids": ids, "speed": np.asarray([np.clip(pace, 0.6, 1.7)], np.float32)}
            lh, th, ln, lr, phi, f0 = (o[0] for o in tts.sess.run(None, feed))
            voiced = f0 > 40.0
            if voiced.any():
                mean = float(np.exp(np.log(f0[voiced]).mean()))
                f0 = np.where(voiced, pitch * mean * (np.maximum(f0, 1.0) / mean) ** expression, f0)
            parts.append(dsp.synth(lh, th, ln, lr, phi, f0.astype(np.float32), rng))
        audio = np.concatenate(parts) if parts else np.zeros(0, np.float32)
        # played at rate 24000*formant: formant < 1 gives a longer vocal tract
        return soxr.resample(audio, 24_000 * formant, RATE).astype(
            np.float32
        ), f"hibari-{formant:.2f}"

    return speak


def _program(command: list[str]) -> Audio:
    with tempfile.NamedTemporaryFile(suffix=".wav") as out:
        subprocess.run([*command, out.name], check=True, capture_output=True)
        audio, rate = soundfile.read(out.name, dtype="float32")
    return audio if rate == RATE else soxr.resample(audio, rate, RATE).astype(np.float32)


def _with_formant(
    audio: Audio, rng: np.random.Generator, low: float, high: float
) -> tuple[Audio, float]:
    factor = float(rng.uniform(low, high))
    return soxr.resample(audio, RATE * factor, RATE).astype(np.float32), factor


def flite_voice(names: tuple[str, ...]) -> Voice:
    """Small statistical and diphone voices of the ``flite`` program."""

    def speak(text: str, rng: np.random.Generator) -> tuple[Audio, str]:
        name = names[int(rng.integers(len(names)))]
        stretch = f"duration_stretch={rng.uniform(0.85, 1.2):.2f}"
        audio = _program(["flite", "-voice", name, "--setf", stretch, "-t", text, "-o"])
        audio, factor = _with_formant(audio, rng, 0.88, 1.12)
        return audio, f"flite-{name}-{factor:.2f}"

    return speak


def espeak_voice() -> Voice:
    """Formant synthesis, far from human speech: a small share at most."""

    def speak(text: str, rng: np.random.Generator) -> tuple[Audio, str]:
        accent = ("en-us", "en-gb", "en-gb-scotland", "en-029")[int(rng.integers(4))]
        variant = ("m1", "m3", "m7", "f1", "f2", "f4")[int(rng.integers(6))]
        pace, pitch = str(int(rng.integers(130, 190))), str(int(rng.integers(30, 70)))
        args = ["espeak-ng", "-v", f"{accent}+{variant}", "-s", pace, "-p", pitch, text, "-w"]
        return _program(args), f"espeak-{accent}-{variant}"

    return speak


def piper_voice(model: str) -> Voice:
    """A Piper ONNX voice (needs ``piper-tts``; the path of the voice follows ``piper=``)."""
    from piper import PiperVoice, SynthesisConfig  # type: ignore[import-not-found, unused-ignore]

    voice = PiperVoice.load(model)

    def speak(text: str, rng: np.random.Generator) -> tuple[Audio, str]:
        config = SynthesisConfig(
            length_scale=float(rng.uniform(0.8, 1.25)),
            noise_scale=float(rng.uniform(0.5, 0.9)),
            noise_w_scale=float(rng.uniform(0.6, 1.0)),
        )
        chunks = [c.audio_float_array for c in voice.synthesize(text, config)]
        audio = soxr.resample(np.concatenate(chunks), voice.config.sample_rate, RATE)
        audio, factor = _with_formant(audio.astype(np.float32), rng, 0.85, 1.25)
        return audio, f"piper-joe-{factor:.2f}"

    return speak


def room(audio: Audio, rng: np.random.Generator) -> Audio:
    """Convolve with decaying noise, RT60 0.1-0.6 s, direct-to-reverberant ratio varied."""
    rt60 = rng.uniform(0.1, 0.6)
    n = int(RATE * rt60)
    tail = rng.standard_normal(n) * np.exp(-6.9 * np.arange(n) / n)
    tail *= rng.uniform(0.1, 0.6) / np.sqrt((tail**2).sum())
    tail[0] = 1.0
    size = 1 << int(np.ceil(np.log2(audio.size + n)))
    out = np.fft.irfft(np.fft.rfft(audio, size) * np.fft.rfft(tail, size), size)
    return out[: audio.size + n // 3].astype(np.float32)


def finish(audio: Audio, rng: np.random.Generator, room_share: float, noise_share: float) -> Audio:
    """Margins, room, coloured noise, level."""
    lead, trail = (int(RATE * rng.uniform(0.05, 0.3)) for _ in range(2))
    audio = np.pad(audio, (lead, trail))
    if rng.random() < room_share:
        audio = room(audio, rng)
    if rng.random() < noise_share:
        white = np.fft.rfft(rng.standard_normal(audio.size))
        shape = np.maximum(np.arange(white.size), 1.0) ** -rng.uniform(0.0, 1.0)
        noise = np.fft.irfft(white * shape, audio.size)
        ratio = np.sqrt((audio**2).mean() / max(float((noise**2).mean()), 1e-12))
        audio = audio + noise * ratio * 10 ** (-rng.uniform(8, 30) / 20)
    peak = float(np.abs(audio).max()) or 1.0
    return (audio * (10 ** (-rng.uniform(1, 16) / 20) / peak)).astype(np.float32)


def read_sentences(folder: Path, split: str, low: int, high: int) -> list[str]:
    """Sentences of the wanted split and length in words, in the order of the files."""
    out: dict[str, None] = {}
    for path in sorted(folder.glob("*.txt")):
        for line in path.read_text(encoding="utf-8").splitlines():
            if is_clean(line) and low <= len(normalise(line).split()) <= high:
                if held_back(line) == (split == "test"):
                    out[line.strip()] = None
    return list(out)


def build_voices(spec: str, split: str) -> tuple[list[Voice], NDArray[np.float64]]:
    """``hibari:8,flite:1,piper=/path.onnx:1,kokoro=/folder:3`` -> voices and their shares."""
    voices: list[Voice] = []
    shares: list[float] = []
    for item in spec.split(","):
        name, _, share = item.rpartition(":")
        if name == "hibari":
            voices.append(hibari_voice())
        elif name == "flite":
            voices.append(flite_voice(("awb", "slt", "kal16")))
        elif name == "flite-rms":
            if split != "test":
                raise SystemExit("flite-rms is held back: use it with --split test only")
            voices.append(flite_voice((HELD_BACK_VOICE,)))
        elif name == "espeak":
            voices.append(espeak_voice())
        elif name.startswith("piper="):
            voices.append(piper_voice(name.removeprefix("piper=")))
        elif name.startswith("kokoro="):
            voices.append(kokoro_voice(Path(name.removeprefix("kokoro="))))
        else:
            raise SystemExit(f"unknown voice {name!r} in --voices")
        shares.append(float(share))
    weights = np.asarray(shares)
    return voices, weights / weights.sum()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument(
        "--text", type=Path, required=True, help="folder of .txt, a sentence a line"
    )
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--voices", default="hibari:1")
    parser.add_argument("--split", choices=("train", "test"), default="train")
    parser.add_argument("--min-words", type=int, default=2)
    parser.add_argument("--max-words", type=int, default=30)
    parser.add_argument("--room-share", type=float, default=0.0)
    parser.add_argument("--noise-share", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()

    sentences = read_sentences(args.text, args.split, args.min_words, args.max_words)
    voices, shares = build_voices(args.voices, args.split)
    args.out.mkdir(parents=True, exist_ok=True)
    manifest = args.out / "manifest.tsv"
    rows = manifest.read_text(encoding="utf-8").splitlines()[1:] if manifest.exists() else []
    seconds = sum(float(r.split("\t")[2]) for r in rows)
    index, began = len(rows), time.monotonic()
    order = np.random.default_rng(args.seed).permutation(len(sentences))
    with manifest.open("a", encoding="utf-8") as sink:
        if not rows:
            sink.write("utt_id\tpath\tduration_s\tspeaker\ttext\n")
        while seconds < args.hours * 3600:
            rng = np.random.default_rng((args.seed, index))
            text = sentences[int(order[index % len(order)])]
            name = f"{index // 1000:03d}/{args.seed:02d}-{index:06d}"
            index += 1
            try:
                audio, speaker = voices[int(rng.choice(len(voices), p=shares))](text, rng)
            except (subprocess.CalledProcessError, ValueError, IndexError) as error:
                print(f"skipped {text!r}: {error}", file=sys.stderr)
                continue
            if audio.size < RATE // 4 or not np.isfinite(audio).all():
                continue
            audio = finish(audio, rng, args.room_share, args.noise_share)
            path = args.out / f"{name}.flac"
            path.parent.mkdir(exist_ok=True)
            soundfile.write(path, audio, RATE, subtype="PCM_16")
            length = audio.size / RATE
            seconds += length
            row = (
                name.replace("/", "-"),
                f"{name}.flac",
                f"{length:.3f}",
                speaker,
                normalise(text),
            )
            sink.write("\t".join(row) + "\n")
            if index % 500 == 0:
                sink.flush()
                speed = seconds / max(time.monotonic() - began, 1e-9)
                print(
                    f"{index} utterances, {seconds / 3600:.2f} h, {speed:.0f}x real time",
                    flush=True,
                )


if __name__ == "__main__":
    main()
