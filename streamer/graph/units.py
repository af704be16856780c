"""Values with units in YAML: ``20ms``, ``2s``, ``1.5min``, ``64KiB``."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema

__all__ = ["Bytes", "Seconds", "parse_bytes", "parse_seconds"]

_TIME = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0}
_SIZE = {"B": 1, "kB": 1000, "KB": 1000, "MB": 10**6, "GB": 10**9} | {
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
}
_SHAPE = re.compile(r"\s*([0-9]*\.?[0-9]+)\s*([A-Za-z]*)\s*")


def parse_seconds(value: Any) -> float:
    """Seconds from a number or a text such as ``"400ms"``. Raises ValueError."""
    return _parse(value, _TIME, "s", "a duration such as 400ms or 2s")


def parse_bytes(value: Any) -> int:
    """Bytes from a number or a text such as ``"64KiB"``. Raises ValueError."""
    return int(_parse(value, _SIZE, "B", "a size such as 64KiB or 1MB"))


def _parse(value: Any, units: dict[str, float] | dict[str, int], plain: str, what: str) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        if value < 0:
            raise ValueError(f"{value} is negative; write {what}")
        return float(value)
    match = _SHAPE.fullmatch(value) if isinstance(value, str) else None
    unit = (match.group(2) or plain) if match else ""
    if match is None or unit not in units:
        raise ValueError(f"{value!r} is not {what}")
    return float(match.group(1)) * units[unit]


Seconds = Annotated[
    float,
    BeforeValidator(parse_seconds),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "minimum": 0},
                {"type": "string", "pattern": r"^[0-9]*\.?[0-9]+ ?(us|ms|s|min|h)?$"},
            ]
        }
    ),
]
Bytes = Annotated[
    int,
    BeforeValidator(parse_bytes),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 0},
                {"type": "string", "pattern": r"^[0-9]*\.?[0-9]+ ?(B|[kK]B|MB|GB|KiB|MiB|GiB)?$"},
            ]
        }
    ),
]
