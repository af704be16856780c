"""Audio devices by name or number, through PortAudio (sounddevice)."""

from __future__ import annotations

import difflib
import importlib
from dataclasses import dataclass
from typing import Any, Literal

from streamer.errors import DeviceError

__all__ = ["Device", "find_device", "list_devices", "load_backend"]


@dataclass(frozen=True, slots=True)
class Device:
    """An audio device as PortAudio sees it; ``rate`` is its default in Hz."""

    index: int
    name: str
    host: str
    inputs: int
    outputs: int
    rate: int
    default_input: bool = False
    default_output: bool = False


def load_backend() -> Any:
    """The ``sounddevice`` module. Raises DeviceError ``device.no-portaudio``."""
    try:
        return importlib.import_module("sounddevice")
    except (ImportError, OSError) as error:
        raise DeviceError(
            "The PortAudio library is missing, so microphones and speakers cannot be used.",
            code="device.no-portaudio",
            hint="Install it: `apt install libportaudio2` (Debian, Ubuntu) or "
            "`brew install portaudio` (macOS).",
        ) from error


def list_devices(backend: Any = None) -> list[Device]:
    """All devices. ``backend`` stands in for the ``sounddevice`` module."""
    sd = backend or load_backend()
    hosts = [host["name"] for host in sd.query_hostapis()]
    default_in, default_out = sd.default.device
    return [
        Device(
            index=index,
            name=info["name"],
            host=hosts[info["hostapi"]],
            inputs=info["max_input_channels"],
            outputs=info["max_output_channels"],
            rate=int(info["default_samplerate"]),
            default_input=index == default_in,
            default_output=index == default_out,
        )
        for index, info in enumerate(sd.query_devices())
    ]


def find_device(
    wanted: int | str | None, backend: Any = None, *, kind: Literal["input", "output"] = "input"
) -> Device:
    """The device of ``kind`` with this index, name, or part of a name (case ignored).

    None or an empty text means the default one. Raises DeviceError ``device.not-found``.
    """
    what, instead = _WORDS[kind]
    wanted = None if wanted == "" else wanted
    fitting = [
        device
        for device in list_devices(backend)
        if (device.inputs if kind == "input" else device.outputs)
    ]
    for matches in _matchers(wanted, kind):
        for device in fitting:
            if matches(device):
                return device
    if not fitting:
        raise DeviceError(
            f"There is no {what} on this machine.",
            code="device.not-found",
            hint=f"Plug one in, or use a file: {instead}.",
        )
    if wanted is None:
        return fitting[0]
    names = [device.name for device in fitting]
    near = difflib.get_close_matches(str(wanted), names, cutoff=0.3) or names
    raise DeviceError(
        f"There is no {what} {wanted!r}.",
        code="device.not-found",
        hint=f"Did you mean {' or '.join(map(repr, near[:3]))}? `streamer devices` lists all.",
    )


_WORDS = {
    "input": ("microphone", "`streamer captions FILE`"),
    "output": ("loudspeaker", "`sink.wav`"),
}


def _matchers(wanted: int | str | None, kind: Literal["input", "output"]) -> list[Any]:
    if wanted is None:
        return [lambda device: getattr(device, f"default_{kind}")]
    if isinstance(wanted, int):
        return [lambda device: device.index == wanted]
    text = wanted.casefold()
    return [
        lambda device: device.name.casefold() == text,
        lambda device: text in device.name.casefold(),
    ]
