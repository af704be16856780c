"""Models by name: what they are, where their files come from, and that the files are right.

A manifest ``models/NAME.yaml`` names each file with its size and SHA-256. Files are looked for in
an installed Python package, then in local folders, and can be fetched from a URL
(``streamer models pull NAME``). A file with a wrong checksum is refused.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import tarfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from streamer.errors import ModelError

__all__ = [
    "Manifest",
    "Model",
    "folders",
    "is_here",
    "locate",
    "manifest_of",
    "manifests",
    "pull",
    "resolve",
    "verify",
]

CHUNK = 1 << 20


class File(BaseModel):
    """One file of a model. Without ``sha256`` (not published) the size is all that is checked."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str
    sha256: str = ""
    size: int = 0
    url: str = ""


class Package(BaseModel):
    """An installed Python package that carries the files below ``folder``; never imported."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    requirement: str
    folder: str = ""


class Manifest(BaseModel):
    """What ``models/NAME.yaml`` says."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    version: str
    task: str
    description: str = ""
    language: str = ""
    licence: str
    source: str = ""
    sample_rate: int = 16000
    front_end: str = ""
    layout: str = ""
    """How the files are to be read, such as ``sherpa-nemo-transducer``."""
    wer: dict[str, float | str] = {}
    """Published word error rates (%), with their ``source``."""
    package: Package | None = None
    archive: str = ""
    """Address of a tar file that holds the files in one folder, for files without a ``url``."""
    files: dict[str, File]


@dataclass(frozen=True, slots=True)
class Model:
    """A model whose files are all there."""

    manifest: Manifest
    files: dict[str, Path]


def folders() -> list[Path]:
    """Where manifests and files are looked for, in order.

    ``$STREAMER_MODELS``, the checkout's or the package's ``models``, the cache.
    """
    here = Path(__file__).parent
    found = [here.parent / "models", here / "_shipped" / "models"]
    own = os.environ.get("STREAMER_MODELS")
    return [*([Path(own)] if own else []), *(f for f in found if f.is_dir()), cache()]


def cache() -> Path:
    """Where pulled models go: ``$XDG_CACHE_HOME/streamer/models``."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "streamer" / "models"


def manifests() -> dict[str, Manifest]:
    """All known models by name; earlier folders win."""
    known: dict[str, Manifest] = {}
    for folder in folders():
        for path in sorted(folder.glob("*.yaml")) if folder.is_dir() else ():
            manifest = _read(path)
            known.setdefault(manifest.name, manifest)
    return known


def _read(path: Path) -> Manifest:
    try:
        return Manifest.model_validate(YAML(typ="safe", pure=True).load(path))
    except (OSError, YAMLError, ValidationError) as error:
        raise ModelError(
            f"The manifest {path} cannot be used: {str(error).splitlines()[0]}",
            code="model.bad-manifest",
            hint="Correct it, or remove it.",
        ) from error


def manifest_of(name: str) -> Manifest:
    """The manifest of that name. Raises ModelError (``model.unknown``) with a suggestion."""
    known = manifests()
    if name not in known:
        import difflib

        near = difflib.get_close_matches(name, known, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else "`streamer models` lists them."
        raise ModelError(f"There is no model {name!r}.", code="model.unknown", hint=hint)
    return known[name]


def resolve(name: str, *, task: str = "", rate: int = 0, front_end: str = "") -> Model:
    """The model with all its files, checked once.

    ``task``, ``rate`` and ``front_end`` say what the asker needs; a model that does not fit is
    refused with a sentence that says what to change. Blocking: it may read whole files.
    """
    manifest = manifest_of(name)
    _check_fit(manifest, task, rate, front_end)
    files: dict[str, Path] = {}
    for key, file in manifest.files.items():
        path = _find(manifest, file)
        if path is None:
            raise ModelError(
                f"The file {file.path} of the model {name!r} is not on this machine.",
                code="model.missing",
                hint=_how_to_get(manifest),
            )
        _check_file(path, file, name)
        files[key] = path
    return Model(manifest, files)


def _check_fit(manifest: Manifest, task: str, rate: int, front_end: str) -> None:
    name, wrong = manifest.name, ""
    if task and manifest.task != task:
        wrong = f"is for {manifest.task}, but {task} is asked for"
    elif rate and manifest.sample_rate != rate:
        wrong = f"works at {manifest.sample_rate} Hz, but is given {rate} Hz"
    elif front_end and manifest.front_end != front_end:
        wrong = f"takes {manifest.front_end or 'unknown features'}, but is given {front_end}"
    if wrong:
        fits = [
            other.name
            for other in manifests().values()
            if (not task or other.task == task)
            and (not rate or other.sample_rate == rate)
            and (not front_end or other.front_end == front_end)
        ]
        hint = f"Use {' or '.join(fits)} as `model`." if fits else "Choose another `model`."
        raise ModelError(f"The model {name!r} {wrong}.", code="model.unfit", hint=hint)


def _candidates(manifest: Manifest, file: File) -> Iterator[Path]:
    if manifest.package is not None:
        try:
            spec = importlib.util.find_spec(manifest.package.name)
        except (ImportError, ValueError):
            spec = None
        for root in (spec.submodule_search_locations or ()) if spec is not None else ():
            yield Path(root) / manifest.package.folder / file.path
    for folder in folders():
        yield folder / manifest.name / file.path


def _find(manifest: Manifest, file: File) -> Path | None:
    return next((path for path in _candidates(manifest, file) if path.is_file()), None)


def _how_to_get(manifest: Manifest) -> str:
    ways = []
    if manifest.package is not None:
        ways.append(f"pip install {manifest.package.requirement}")
    if manifest.archive or all(file.url for file in manifest.files.values()):
        ways.append(f"streamer models pull {manifest.name}")
    ways.append(f"put the files into {cache() / manifest.name}")
    return "Get it: " + ", or ".join(ways) + "."


def _check_file(path: Path, file: File, name: str) -> None:
    status = path.stat()
    wrong = bool(file.size) and status.st_size != file.size
    if not wrong and file.sha256:
        wrong = _digest_once(path, status) != file.sha256
    if wrong:
        raise ModelError(
            f"The file {path} of the model {name!r} is not the published one (wrong checksum).",
            code="model.checksum",
            hint="Delete it and get it again; do not use it.",
        )


def _digest_once(path: Path, status: os.stat_result) -> str:
    """The SHA-256; remembered by path, size and time of change, so that start-up stays quick."""
    store = cache() / "checksums.json"
    key = f"{path.resolve()}:{status.st_size}:{status.st_mtime_ns}"
    try:
        known: dict[str, str] = json.loads(store.read_text())
    except (OSError, ValueError):
        known = {}
    if key not in known:
        known[key] = _digest(path)
        try:
            store.parent.mkdir(parents=True, exist_ok=True)
            part = store.with_suffix(f".{os.getpid()}")
            part.write_text(json.dumps(known))
            part.replace(store)
        except OSError:
            pass
    return known[key]


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def locate(manifest: Manifest) -> dict[str, Path | None]:
    """Where each file is, unchecked; None where it is not on this machine."""
    return {key: _find(manifest, file) for key, file in manifest.files.items()}


def is_here(manifest: Manifest) -> bool:
    """Whether all files are on this machine, unchecked."""
    return None not in locate(manifest).values()


def verify(name: str) -> dict[str, str]:
    """For each file key: ``ok``, ``missing`` or ``wrong``; reads every byte."""
    manifest = manifest_of(name)
    outcome = {}
    for key, file in manifest.files.items():
        path = _find(manifest, file)
        if path is None:
            outcome[key] = "missing"
        else:
            size = not file.size or path.stat().st_size == file.size
            right = size and (not file.sha256 or _digest(path) == file.sha256)
            outcome[key] = "ok" if right else "wrong"
    return outcome


def pull(name: str, on_progress: Callable[[str, int, int], None] = lambda *_: None) -> Path:
    """Fetch what is missing into the cache; resumes, checks, then puts in place.

    ``on_progress(file, bytes so far, bytes in all)``. Returns the folder.
    """
    manifest = manifest_of(name)
    target = cache() / manifest.name
    if manifest.archive and not all(_find(manifest, f) for f in manifest.files.values()):
        whole = File(path=manifest.archive.rpartition("/")[2], url=manifest.archive)
        _fetch(whole, target / whole.path, name, on_progress)
        _unpack(target / whole.path, manifest)
    for file in manifest.files.values():
        path = _find(manifest, file)
        if path is not None:
            _check_file(path, file, name)
            continue
        if not file.url:
            raise ModelError(
                f"The model {name!r} has no address to fetch {file.path} from.",
                code="model.missing",
                hint=_how_to_get(manifest),
            )
        _fetch(file, target / file.path, name, on_progress)
    return target


def _unpack(archive: Path, manifest: Manifest) -> None:
    """The manifest's files out of the archive's one folder, nothing else; then it goes."""
    wanted = {file.path for file in manifest.files.values()}
    try:
        with tarfile.open(archive) as tar:
            for member in tar:
                inside = member.name.removeprefix("./").partition("/")[2]
                content = tar.extractfile(member) if inside in wanted else None
                if content is not None:
                    path = archive.parent / inside
                    path.parent.mkdir(parents=True, exist_ok=True)
                    with path.with_name(path.name + ".part").open("wb") as out:
                        shutil.copyfileobj(content, out, CHUNK)
                    path.with_name(path.name + ".part").replace(path)
    except (OSError, EOFError, tarfile.TarError) as error:
        raise ModelError(
            f"The archive of the model {manifest.name!r} cannot be unpacked: {error}.",
            code="model.damaged",
            hint="Pull it again.",
        ) from error
    finally:
        archive.unlink()


def _fetch(file: File, path: Path, name: str, on_progress: Callable[[str, int, int], None]) -> None:
    part = path.with_name(path.name + ".part")
    part.parent.mkdir(parents=True, exist_ok=True)
    done = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(file.url)  # noqa: S310
    if done:
        request.add_header("Range", f"bytes={done}-")
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            if answer.status != 206:
                done = 0
            total = done + int(answer.headers.get("Content-Length") or 0)
            with part.open("ab" if done else "wb") as stream:
                while block := answer.read(CHUNK):
                    stream.write(block)
                    done += len(block)
                    on_progress(file.path, done, total)
    except urllib.error.HTTPError as error:
        if error.code != 416:  # the part is whole already
            raise _unreachable(name, file, error) from error
    except (OSError, HTTPException) as error:
        raise _unreachable(name, file, error) from error
    else:
        if done < total:
            raise _unreachable(name, file, f"the connection ended after {done} of {total} bytes")
    try:
        _check_file(part, file, name)
    except ModelError:
        part.unlink()
        raise
    part.replace(path)


def _unreachable(name: str, file: File, error: Any) -> ModelError:
    return ModelError(
        f"The file {file.path} of the model {name!r} cannot be fetched from {file.url}: {error}.",
        code="model.unreachable",
        hint="Check the network; what has arrived is kept and the next try goes on from there.",
    )
