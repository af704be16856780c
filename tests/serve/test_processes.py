"""Several processes behind one port: the real program, killed and drained while clients speak."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import sys
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect

from streamer.serve.peers import Peers, add_up

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs Unix sockets")

SECOND = bytes(32000)
GRAPH = """
version: 1
name: quiet
nodes:
  client: {use: source.session}
  level: {use: events.level, in: client, dead_after: 0.5s}
  out: {use: sink.session, in: level}
"""


@contextlib.asynccontextmanager
async def served(folder: Path, *options: str) -> AsyncIterator[tuple[str, int]]:
    """The address and the process that accepts."""
    graph = folder / "quiet.yaml"
    graph.write_text(GRAPH)
    command = [sys.executable, "-m", "streamer", "serve", str(graph), "--port", "0"]
    process = await asyncio.create_subprocess_exec(
        *command, "--processes", "2", *options, stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    try:
        line = ""
        while not (found := re.search(r"ws://\S+", line)):
            line = (await asyncio.wait_for(process.stderr.readline(), 60)).decode()
            assert line, "the service ended"
        yield found[0], process.pid
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 30) == 0
    finally:
        if process.returncode is None:
            process.kill()
        await process.stderr.read()
        await process.wait()


async def begin(url: str) -> tuple[ClientConnection, str]:
    """A session, and its name."""
    client = await connect(url)
    await client.send('{"type":"start"}')
    return client, json.loads(await client.recv())["session"]


async def rest(client: ClientConnection) -> list[dict[str, Any]]:
    await client.send('{"type":"end"}')
    async with asyncio.timeout(20):
        return [json.loads(message) async for message in client]


def events(messages: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(m["label"], m["state"]) for m in messages if m["type"] == "event"]


def children(pid: int) -> list[int]:
    """The workers; multiprocessing has one more child, which tracks resources."""
    names = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    found = []
    for name in names:
        with contextlib.suppress(OSError):  # it is just ending
            if b"spawn_main" in Path(f"/proc/{name}/cmdline").read_bytes():
                found.append(int(name))
    return found


def metrics(url: str) -> dict[str, float]:
    page = url.replace("ws://", "http://").replace("/v1/stream", "/metrics")
    with urllib.request.urlopen(page, timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return {k: float(v) for k, _, v in (x.rpartition(" ") for x in lines if x[0] != "#")}


def test_connections_go_to_the_idlest_and_are_resumed_wherever_they_land(tmp_path: Path) -> None:
    async def main() -> None:
        async with served(tmp_path, "--sessions", "8") as (url, _):
            clients = [await begin(url) for _ in range(8)]
            homes = [name.partition("-")[0] for _, name in clients]
            assert sorted(homes) == ["0"] * 4 + ["1"] * 4
            seen = await asyncio.to_thread(metrics, url)
            assert seen["streamer_sessions"] == 8
            assert seen["streamer_sessions_admitted_total"] == 8
            for client, _ in clients:
                await client.send(SECOND)
            # every session is dropped and comes back; half of them land in the other process
            back = []
            for client, _ in clients:
                client.transport.abort()
            await asyncio.sleep(0.3)
            for _, name in reversed(clients):
                client = await connect(url)
                resume = {"type": "start", "resume": {"session": name, "seq": 0}}
                await client.send(json.dumps(resume))
                ready = json.loads(await client.recv())
                assert (ready["type"], ready["session"]) == ("ready", name)
                assert ready["received"] == len(SECOND)
                back.append(client)
            for client in back:
                assert ("dead", "end") in events(await rest(client))
                assert client.close_code == 1000
            lost, name = await begin(url)
            await lost.close()
            again = await connect(url)
            await again.send(json.dumps({"type": "start", "resume": {"session": name, "seq": 0}}))
            assert json.loads(await again.recv())["code"] == "serve.no-session"
            await again.close()

    asyncio.run(main())


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_process_that_dies_is_replaced_and_the_others_go_on(tmp_path: Path) -> None:
    async def main() -> None:
        async with served(tmp_path) as (url, pid):
            one, two = (await begin(url))[0], (await begin(url))[0]
            workers = await asyncio.to_thread(children, pid)
            assert len(workers) == 2
            os.kill(workers[0], signal.SIGKILL)
            async with asyncio.timeout(30):
                done, _ = await asyncio.wait(
                    [asyncio.create_task(c.wait_closed()) for c in (one, two)],
                    return_when=asyncio.FIRST_COMPLETED,
                )
                assert len(done) == 1
                left = two if one.close_code is not None else one
                while len(await asyncio.to_thread(children, pid)) < 2:  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
                homes: set[str] = set()
                while len(homes) < 2:  # both take connections again
                    client, name = await begin(url)
                    homes.add(name.partition("-")[0])
                    assert ("dead", "end") not in events(await rest(client))
            await left.send(SECOND)
            assert ("dead", "end") in events(await rest(left))

    asyncio.run(main())


def test_sigterm_lets_every_session_finish(tmp_path: Path) -> None:
    async def main() -> None:
        async with served(tmp_path) as (url, pid):
            clients = [(await begin(url))[0] for _ in range(4)]
            for client in clients:
                await client.send(SECOND)
            await asyncio.sleep(0.3)
            os.kill(pid, signal.SIGTERM)
            for client in clients:
                async with asyncio.timeout(20):
                    said = [json.loads(message) async for message in client]
                assert ("dead", "end") in events(said) and said[-1]["type"] == "done"

    asyncio.run(main())


def test_a_service_that_cannot_start_says_so(tmp_path: Path) -> None:
    async def main() -> str:
        graph = tmp_path / "g.yaml"
        graph.write_text(GRAPH.replace("events.level", "events.sound, model: away.onnx"))
        command = [sys.executable, "-m", "streamer", "serve", str(graph), "--port", "0"]
        process = await asyncio.create_subprocess_exec(
            *command, "--processes", "2", stderr=asyncio.subprocess.PIPE
        )
        _, said = await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode not in (0, None)
        return said.decode()

    assert "away.onnx" in asyncio.run(main())


def test_names_tell_the_process_and_nothing_else_does() -> None:
    peers = Peers(1, 3, Path("/nowhere"))
    assert peers.name("ab12") == "1-ab12"
    assert peers.home("0-ab12") == Path("/nowhere/0.sock")
    for name in ("1-ab12", "3-ab12", "ab12", "../x-1", "-1-a", "00-a", "", "²-a"):
        assert peers.home(name) is None


def test_metrics_are_added_up() -> None:
    one = (
        '# HELP a A.\n# TYPE a counter\na_total{x="1"} 2.0\n# TYPE o gauge\nq_oldest_seconds 3.0\n'
    )
    two = '# HELP a A.\n# TYPE a counter\na_total{x="1"} 5.0\na_total{x="2"} 1.0\n'
    two += "# TYPE o gauge\nq_oldest_seconds 1.0\n"
    assert add_up([one, two]).decode().splitlines() == [
        "# HELP a A.",
        "# TYPE a counter",
        'a_total{x="1"} 7.0',
        'a_total{x="2"} 1.0',
        "# TYPE o gauge",
        "q_oldest_seconds 3.0",
    ]
    assert add_up([]) == b"\n"
