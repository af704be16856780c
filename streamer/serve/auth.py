"""API keys: kept as hashes, compared in constant time."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from pathlib import Path

from streamer.errors import InputError

__all__ = ["Keys", "key_from"]


class Keys:
    """The keys of a file: one ``name sha256-of-key`` a line, ``#`` starts a comment.

    No file means that everybody may come in.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.required = path is not None
        self._hashes: list[tuple[str, bytes]] = []
        if path is not None:
            self._read(path)

    def _read(self, path: Path) -> None:
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except OSError as error:
            raise InputError(
                f"The key file {path} cannot be read: {error.strerror}.", code="serve.keys"
            ) from error
        for number, line in enumerate(lines, 1):
            parts = line.split("#", 1)[0].split()
            if not parts:
                continue
            try:
                name, digest = parts[0], bytes.fromhex(parts[1])
            except (IndexError, ValueError):
                digest = b""
            if len(parts) != 2 or len(digest) != hashlib.sha256().digest_size:
                raise InputError(
                    f"Line {number} of the key file {path} is not `name sha256`.",
                    code="serve.keys",
                    hint="Make one with `streamer serve --new-key NAME`.",
                )
            self._hashes.append((name, digest))

    def owner(self, key: str) -> str | None:
        """Whose key this is; None if nobody's. Takes as long for a wrong key as for a right one."""
        if not self.required:
            return "anyone"
        digest = hashlib.sha256(key.encode()).digest()
        found: str | None = None
        for name, known in self._hashes:
            if hmac.compare_digest(digest, known):
                found = name
        return found

    @staticmethod
    def new(name: str) -> tuple[str, str]:
        """A fresh key and the line for the file."""
        key = secrets.token_urlsafe(32)
        return key, f"{name} {hashlib.sha256(key.encode()).hexdigest()}"


def key_from(headers: Mapping[str, str], query: Mapping[str, str]) -> str:
    """The key of a request: ``Authorization: Bearer|Token KEY`` or ``?token=KEY`` (browsers)."""
    scheme, _, key = headers.get("Authorization", "").partition(" ")
    if scheme.lower() in ("bearer", "token"):
        return key.strip()
    return query.get("token", "")
