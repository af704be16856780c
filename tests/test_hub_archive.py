"""Models that are published as one archive, and the manifests of public streaming models."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest

from streamer import hub
from streamer.asr.interop import load_engine
from streamer.asr.streaming import Decoder
from streamer.asr.streaming.search import GreedySearch
from streamer.errors import ModelError
from tests.asr.streaming.helpers import TINY

FILES = {part: f"net/{part}.onnx" for part in ("encoder", "decoder", "joiner")}


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tiny model as a public archive, with a file that wants to lie elsewhere."""
    monkeypatch.setenv("STREAMER_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    archive = tmp_path / "tiny-2023.tar.bz2"
    with tarfile.open(archive, "w:bz2") as tar:
        for part, path in FILES.items():
            tar.add(TINY / f"{part}.onnx", f"tiny-2023/{path}")
        tar.add(TINY / "tokens.txt", "tiny-2023/lang/tokens.txt")
        evil = tarfile.TarInfo("tiny-2023/../../escaped")
        tar.addfile(evil, io.BytesIO())
    (tmp_path / "models").mkdir()
    manifest = {
        "name": "tiny",
        "version": "1",
        "task": "asr.streaming",
        "licence": "Apache-2.0",
        "archive": archive.as_uri(),
        "files": {k: {"path": v} for k, v in {**FILES, "tokens": "lang/tokens.txt"}.items()},
    }
    (tmp_path / "models" / "tiny.yaml").write_text(json.dumps(manifest))
    return archive


def test_an_archive_is_pulled_unpacked_and_runs(published: Path) -> None:
    with pytest.raises(ModelError, match="streamer models pull tiny"):
        hub.resolve("tiny")
    folder = hub.pull("tiny")
    found = sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())
    assert found == sorted([*FILES.values(), "lang/tokens.txt"])
    assert not (folder.parent.parent / "escaped").exists()
    published.unlink()
    hub.pull("tiny")
    engine = load_engine(hub.resolve("tiny", task="asr.streaming").files, precision="int8")
    assert Decoder(engine, GreedySearch(engine)).open().lease.index == 0


def test_a_damaged_archive_is_refused_and_removed(published: Path) -> None:
    published.write_bytes(published.read_bytes()[:20_000])
    with pytest.raises(ModelError) as caught:
        hub.pull("tiny")
    assert caught.value.code == "model.damaged"
    assert not list((hub.cache() / "tiny").glob("*.bz2"))


def test_public_streaming_models_are_known() -> None:
    public = [m for m in hub.manifests().values() if m.layout.startswith("sherpa-") and m.archive]
    assert len(public) >= 8
    for manifest in public:
        assert {"encoder", "decoder", "joiner", "tokens"} == set(manifest.files)
        assert manifest.task == "asr.streaming"
        assert manifest.licence
        assert manifest.source.startswith("https://")
        assert not manifest.wer or "source" in manifest.wer
