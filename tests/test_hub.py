"""Models by name: found, checked, fetched; every refusal says what to do."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from streamer import hub
from streamer.errors import ModelError

DATA = bytes(range(256)) * 2000


class Publisher(ThreadingHTTPServer):
    """Serves DATA, with ranges; ``break_after`` cuts the connection after so many bytes."""

    daemon_threads = True

    def __init__(self, *, ranges: bool = True) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.ranges, self.break_after = ranges, len(DATA)
        self.asked: list[str | None] = []
        self.url = f"http://127.0.0.1:{self.server_port}/model.bin"


class Handler(BaseHTTPRequestHandler):
    server: Publisher

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        self.server.asked.append(asked)
        begin = int(asked.removeprefix("bytes=")[:-1]) if asked and self.server.ranges else 0
        if begin >= len(DATA):
            self.send_error(416)
            return
        self.send_response(206 if begin else 200)
        self.send_header("Content-Length", str(len(DATA) - begin))
        self.end_headers()
        self.wfile.write(DATA[begin : self.server.break_after])

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    with Publisher() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An own folder of models; the cache is empty."""
    monkeypatch.setenv("STREAMER_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "models").mkdir()
    return tmp_path / "models"


def manifest(folder: Path, **changes: Any) -> None:
    file = {
        "path": "model.bin",
        "size": len(DATA),
        "sha256": hashlib.sha256(DATA).hexdigest(),
        **changes.pop("file", {}),
    }
    entry = {
        "name": "mine",
        "version": "1",
        "task": "asr.final",
        "licence": "MIT",
        "front_end": "samples",
        "files": {"weights": file},
        **changes,
    }
    (folder / "mine.yaml").write_text(json.dumps(entry))


def put(folder: Path, data: bytes = DATA) -> Path:
    path = folder / "mine" / "model.bin"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    return path


def refused(name: str = "mine", **needs: Any) -> ModelError:
    with pytest.raises(ModelError) as caught:
        hub.resolve(name, **needs)
    return caught.value


def test_shipped_models_are_whole_and_their_packages_not_imported(tmp_path: Path) -> None:
    code = (
        "import sys; from streamer import hub\n"
        "for name in ('moonshine-base-en', 'silero-vad'):\n"
        "    assert set(hub.verify(name).values()) == {'ok'}, hub.verify(name)\n"
        "    assert hub.resolve(name).manifest.licence == 'MIT'\n"
        "assert 'moonshine_cpp' not in sys.modules"
    )
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)


def test_unknown_name_suggests_a_near_one(models: Path) -> None:
    error = refused("moonshine-base")
    assert error.code == "model.unknown"
    assert "moonshine-base-en" in error.hint


@pytest.mark.parametrize(
    ("needs", "words"),
    [
        ({"task": "vad"}, "is for asr.final, but vad is asked for"),
        ({"rate": 8000}, "works at 16000 Hz, but is given 8000 Hz"),
        ({"task": "asr.final", "front_end": "fbank80"}, "takes samples, but is given fbank80"),
    ],
)
def test_a_model_that_does_not_fit_is_refused_with_the_reason(
    models: Path, needs: dict[str, Any], words: str
) -> None:
    manifest(models)
    put(models)
    error = refused(**needs)
    assert error.code == "model.unfit"
    assert words in error.message
    assert error.hint


def test_the_hint_names_models_that_would_fit(models: Path) -> None:
    manifest(models)
    assert "silero-vad" in refused(task="vad").hint


def test_missing_file_says_how_to_get_it(models: Path) -> None:
    manifest(models, file={"url": "http://127.0.0.1:1/x"})
    error = refused()
    assert error.code == "model.missing"
    assert "streamer models pull mine" in error.hint


@pytest.mark.parametrize("data", [DATA[:-1], DATA[:-1] + b"x"])
def test_wrong_bytes_are_refused(models: Path, data: bytes) -> None:
    manifest(models)
    put(models, data)
    assert refused().code == "model.checksum"
    assert hub.verify("mine") == {"weights": "wrong"}


def test_bytes_are_read_once_until_the_file_changes(models: Path) -> None:
    manifest(models)
    path = put(models)
    assert hub.resolve("mine").files == {"weights": path}
    status = path.stat()
    path.write_bytes(DATA[::-1])
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    hub.resolve("mine")
    os.utime(path)
    assert refused().code == "model.checksum"


@pytest.mark.parametrize("text", ["name: [", "name: mine", "- a list"])
def test_an_unusable_manifest_is_named(models: Path, text: str) -> None:
    (models / "mine.yaml").write_text(text)
    error = refused()
    assert error.code == "model.bad-manifest"
    assert "mine.yaml" in error.message


def test_pull_fetches_and_checks(models: Path, publisher: Publisher) -> None:
    manifest(models, file={"url": publisher.url})
    seen: list[tuple[str, int, int]] = []
    folder = hub.pull("mine", lambda *progress: seen.append(progress))
    assert (folder / "model.bin").read_bytes() == DATA
    assert seen[-1] == ("model.bin", len(DATA), len(DATA))
    assert hub.resolve("mine").files["weights"] == folder / "model.bin"
    hub.pull("mine")
    assert publisher.asked == [None]


@pytest.mark.parametrize("ranges", [True, False])
def test_pull_goes_on_after_a_cut_connection(
    models: Path, publisher: Publisher, ranges: bool
) -> None:
    manifest(models, file={"url": publisher.url})
    publisher.ranges, publisher.break_after = ranges, 300_000
    with pytest.raises(ModelError) as caught:
        hub.pull("mine")
    assert caught.value.code == "model.unreachable"
    publisher.break_after = len(DATA)
    folder = hub.pull("mine")
    assert publisher.asked == [None, "bytes=300000-"]
    assert (folder / "model.bin").read_bytes() == DATA
    assert [p.name for p in folder.iterdir()] == ["model.bin"]


def test_pull_uses_a_part_that_is_whole_already(models: Path, publisher: Publisher) -> None:
    manifest(models, file={"url": publisher.url})
    part = hub.cache() / "mine" / "model.bin.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(DATA)
    assert (hub.pull("mine") / "model.bin").read_bytes() == DATA


def test_pull_refuses_and_removes_other_bytes(models: Path, publisher: Publisher) -> None:
    manifest(models, file={"url": publisher.url, "sha256": "0" * 64})
    with pytest.raises(ModelError) as caught:
        hub.pull("mine")
    assert caught.value.code == "model.checksum"
    assert list((hub.cache() / "mine").iterdir()) == []


def test_pull_without_a_server_or_an_address(models: Path) -> None:
    manifest(models, file={"url": "http://127.0.0.1:1/model.bin"})
    with pytest.raises(ModelError) as caught:
        hub.pull("mine")
    assert caught.value.code == "model.unreachable"
    manifest(models)
    with pytest.raises(ModelError) as caught:
        hub.pull("mine")
    assert caught.value.code == "model.missing"
