"""Payloads as JSON and raw arrays, and back: exactly the same values."""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from streamer import packets
from streamer.errors import InputError
from streamer.graph.ports import PortSpec, members

__all__ = ["decode", "encode", "has_arrays", "payload_types"]

TYPE = "$"
"""The key that names the class of an object, or says ``array``."""


def encode(value: Any, store: Callable[[bytes], int]) -> Any:
    """Plain data for JSON; ``store`` keeps an array's bytes and returns their offset."""
    if isinstance(value, np.ndarray):
        raw = np.ascontiguousarray(value)
        data = raw.tobytes()
        kind, shape = raw.dtype.str, list(raw.shape)
        crc = zlib.crc32(data)
        return {TYPE: "array", "at": store(data), "dtype": kind, "shape": shape, "crc": crc}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: encode(getattr(value, f.name), store) for f in dataclasses.fields(value)}
        return {TYPE: type(value).__name__, **fields}
    if isinstance(value, list | tuple):
        return [encode(item, store) for item in value]
    if isinstance(value, dict):
        return {str(key): encode(item, store) for key, item in value.items()}
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"{type(value).__name__} cannot be recorded")


def decode(data: Any, types: Mapping[str, type], load: Callable[[int, int], bytes]) -> Any:
    """The value again. Only ``types`` are made: a recording may come from a stranger."""
    if isinstance(data, list):
        return tuple(decode(item, types, load) for item in data)
    if not isinstance(data, dict):
        return data
    name = data.get(TYPE)
    if name is None:
        return {key: decode(item, types, load) for key, item in data.items()}
    if name == "array":
        dtype, shape = np.dtype(data["dtype"]), data["shape"]
        raw = load(data["at"], dtype.itemsize * int(np.prod(shape)))
        return np.frombuffer(raw, dtype).reshape(shape).copy()
    if name not in types:
        raise InputError(
            f"The recording holds a {name!r}, which no port of its graph takes.",
            code="recording.bad",
            hint="Replay it with the version of streamer and the plug-ins that made it.",
        )
    fields = {key: decode(item, types, load) for key, item in data.items() if key != TYPE}
    return types[name](**fields)


def payload_types(ports: Mapping[str, PortSpec]) -> dict[str, type]:
    """Classes by name that packets of these ports may be made of."""
    known = {
        name: cls
        for name, cls in vars(packets).items()
        if isinstance(cls, type) and dataclasses.is_dataclass(cls)
    }
    for port in ports.values():
        known.update((cls.__name__, cls) for cls in members(port.type))
    return known


def has_arrays(port: PortSpec) -> bool:
    """Whether packets of this port hold samples or other arrays."""
    return any(
        "Samples" in str(field.type) or "NDArray" in str(field.type)
        for cls in members(port.type)
        if dataclasses.is_dataclass(cls)
        for field in dataclasses.fields(cls)
    )
