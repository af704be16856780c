"""``--otel``: a real receiver that reads OTLP, as a collector would."""

from __future__ import annotations

import http.server
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import typer
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from typer.testing import CliRunner
from websockets.sync.client import connect

from streamer.audio.decode import decode
from streamer.cli.run import run
from streamer.errors import InputError

GRAPHS = Path(__file__).parents[2] / "graphs"


class Receiver(http.server.ThreadingHTTPServer):
    """Keeps every span that is posted to /v1/traces."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.services: set[str] = set()
        self.paths: set[str] = set()
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def named(self, name: str) -> list[Span]:
        return [span for span in self.spans if span.name == name]

    def children(self, parent: Span) -> dict[str, Span]:
        return {s.name: s for s in self.spans if s.parent_span_id == parent.span_id}


class Handler(http.server.BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.paths.add(self.path)
        assert self.headers["Content-Type"] == "application/x-protobuf"
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            facts = {a.key: a.value.string_value for a in resource.resource.attributes}
            self.server.services.add(facts["service.name"])
            for scope in resource.scope_spans:
                self.server.spans += scope.spans
        self.send_response(200)
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def facts(span: Span) -> dict[str, float | str]:
    return {
        a.key.removeprefix("streamer."): a.value.string_value
        or a.value.int_value
        or a.value.double_value
        for a in span.attributes
    }


def invoke(*args: str) -> None:
    app = typer.Typer()
    app.command()(run)
    result = CliRunner().invoke(app, list(args))
    if result.exception is not None:
        raise result.exception


GRAPH = """
version: 1
name: traced
nodes:
  file: {use: source.file, pace: fast, path: "%s"}
  vad:  {use: vad.silero, in: file}
  asr:  {use: asr.moonshine, partials: false, in: {audio: file, speech: vad}}
  one:  {use: sink.webvtt, in: asr.final, path: "%s/one.vtt"}
  two:  {use: sink.webvtt, in: asr.final, path: "%s/two.vtt"}
"""


def test_a_run_is_a_session_with_its_utterances_and_their_stages(
    receiver: Receiver, sample: Path, tmp_path: Path
) -> None:
    graph = tmp_path / "graph.yaml"
    graph.write_text(GRAPH % (sample, tmp_path, tmp_path))
    invoke(str(graph), "--no-summary", "--otel", receiver.url)
    assert receiver.paths == {"/v1/traces"}
    assert receiver.services == {"streamer"}
    (session,) = receiver.named("session")
    assert facts(session)["graph"] == "traced"
    assert session.status.code == Status.STATUS_CODE_UNSET
    utterances = receiver.named("utterance")
    cues = re.findall("-->", (tmp_path / "one.vtt").read_text())
    assert 4 <= len(utterances) <= len(cues)
    now = time.time_ns()
    for utterance in utterances:
        assert utterance.trace_id == session.trace_id
        assert utterance.parent_span_id == session.span_id
        assert facts(utterance)["words"] > 0
        stages = receiver.children(utterance)
        assert {"work vad", "work asr", "work asr: final", "wait asr: final",
                "work one", "work two"} <= stages.keys()  # fmt: skip
        decoding = stages["work asr: final"]
        assert facts(decoding)["packets"] == 1
        assert 5 < facts(decoding)["total_ms"] < 20_000
        for stage in stages.values():
            assert utterance.start_time_unix_nano <= stage.start_time_unix_nano
            assert stage.end_time_unix_nano <= utterance.end_time_unix_nano
            assert now - 60e9 < stage.start_time_unix_nano < now
    assert "young man" not in str(receiver.spans), "what was said is not sent"


def test_a_run_that_fails_is_a_failed_session(receiver: Receiver, tmp_path: Path) -> None:
    graph = tmp_path / "graph.yaml"
    graph.write_text(GRAPH % (tmp_path / "none.flac", tmp_path, tmp_path))
    with pytest.raises(InputError):
        invoke(str(graph), "--no-summary", "--otel", receiver.url)
    (session,) = receiver.spans
    assert session.status.code == Status.STATUS_CODE_ERROR
    assert "none.flac" in session.status.message


def test_an_address_that_is_none_is_refused(sample: Path, tmp_path: Path) -> None:
    graph = tmp_path / "graph.yaml"
    graph.write_text(GRAPH % (sample, tmp_path, tmp_path))
    with pytest.raises(InputError, match=r"otel\.endpoint"):
        invoke(str(graph), "--otel", "localhost:4318")


def test_each_session_of_a_service_has_its_own_trace(receiver: Receiver, sample: Path) -> None:
    speech = np.concatenate([frame.samples[:, 0] for frame in decode(sample)])
    pcm = (speech[8 * 16000 : 12 * 16000] * 32767).astype("<i2")
    command = [sys.executable, "-m", "streamer", "serve", "--port", "0"]
    command.append(str(GRAPHS / "serve-captions.yaml"))
    environment = os.environ | {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, "COLUMNS": "200"}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as server:
        try:
            assert server.stderr is not None
            line = server.stderr.readline()
            found = re.search(r"ws://\S+", line)
            assert found, line + server.stderr.read()
            ids = []
            for _ in range(2):
                with connect(found[0]) as socket:
                    socket.send('{"type":"start"}')
                    ids.append(json.loads(socket.recv())["session"])
                    for at in range(0, len(pcm), 3200):
                        socket.send(pcm[at : at + 3200].tobytes())
                    socket.send('{"type":"end"}')
                    while json.loads(socket.recv())["type"] != "done":
                        pass
        finally:
            server.send_signal(signal.SIGTERM)
            rest = server.communicate(timeout=20)[1]
        assert server.returncode == 0, rest
    sessions = receiver.named("session")
    assert len({span.trace_id for span in sessions}) == 2
    for session in sessions:
        told = facts(session)
        assert (told["graph"], told["outcome"]) == ("serve-captions", "ended")
        assert told["audio_s"] == pytest.approx(4.0)
        stages = receiver.children(receiver.children(session)["utterance"])
        assert {"work client", "work vad", "work asr", "work out"} - stages.keys() <= {
            "work client"
        }
        # 4 s in pieces of 0.2 s: only this session's packets.
        assert facts(stages["work vad"])["packets"] <= 20
