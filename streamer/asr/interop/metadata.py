"""Reading what exported models say about themselves: metadata strings and tokens.txt."""

from __future__ import annotations

from pathlib import Path

import onnxruntime as ort

from streamer.errors import ModelError

__all__ = ["Metadata", "read_tokens"]


class Metadata:
    """The metadata of one ONNX file; asking for what is missing or wrong is an error."""

    def __init__(self, path: Path, session: ort.InferenceSession) -> None:
        self.path = path
        self.values: dict[str, str] = dict(session.get_modelmeta().custom_metadata_map)

    def text(self, key: str, default: str | None = None) -> str:
        """The value of ``key``."""
        value = self.values.get(key, default)
        if value is None:
            raise ModelError(
                f"{self.path.name} has no `{key}` in its metadata",
                code="asr.model.metadata",
                hint="Export the model with an exporter of the sherpa-onnx layout.",
            )
        return value

    def integer(self, key: str, default: int | None = None) -> int:
        """The value of ``key`` as a whole number."""
        return self.integers(key, None if default is None else (default,))[0]

    def integers(self, key: str, default: tuple[int, ...] | None = None) -> tuple[int, ...]:
        """The value of ``key`` as a comma-separated list."""
        if default is not None and key not in self.values:
            return default
        text = self.text(key)
        try:
            return tuple(int(part) for part in text.split(","))
        except ValueError:
            raise ModelError(
                f"`{key}` in the metadata of {self.path.name} is {text!r}, not whole numbers",
                code="asr.model.metadata",
                hint="Export the model again.",
            ) from None


def read_tokens(path: Path, vocab: int, model: Path) -> tuple[str, ...]:
    """``tokens.txt``: ``symbol id`` a line, ids without gaps; a line with an id alone is a space.

    ``vocab`` is the number of tokens the networks know; a file that does not agree is refused.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(
            f"{path} cannot be read: {error}",
            code="asr.model.missing",
            hint="A model folder holds encoder, decoder, joiner and tokens.txt.",
        ) from None
    tokens: dict[int, str] = {}
    for number, line in enumerate(lines, 1):
        if not line:
            continue
        symbol, _, index = line.rpartition(" ")
        try:
            tokens[int(index)] = symbol or " "
        except ValueError:
            raise ModelError(
                f"line {number} of {path.name} is not `symbol id`: {line!r}",
                code="asr.model.vocabulary",
                hint="Take the tokens.txt that came with the model.",
            ) from None
    if sorted(tokens) != list(range(vocab)):
        raise ModelError(
            f"{path.name} lists {len(tokens)} tokens, {model.name} knows {vocab}",
            code="asr.model.vocabulary",
            hint="Take the tokens.txt that came with the model.",
        )
    return tuple(tokens[i] for i in range(vocab))
