"""The captions page in a real Chromium, with a file as the microphone."""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
import wave
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import soxr
import srt
import webvtt

from streamer.audio.decode import decode
from streamer.graph import Resources
from streamer.graph.build import load_graph
from streamer.nodes import registry
from streamer.serve.auth import Keys
from streamer.serve.gateway import Gateway
from streamer.serve.limits import Limits
from streamer.serve.native import Native
from streamer.serve.page import graph_state, pages
from streamer.serve.service import Settings, serve
from streamer.serve.sessions import Sessions
from streamer.trace.recorder import WORK

from .nodes import counting_plan

pytest.importorskip("streamer.trace.prometheus")  # else the service imports it on the loop
playwright = pytest.importorskip("playwright.async_api", reason="playwright is not installed")
playwright.expect.set_options(timeout=15000)
CHROMIUM = shutil.which("chromium") or ""
GRAPHS = Path(__file__).parents[2] / "graphs"

SOMETHING = re.compile("[a-z]{2}")

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="chromium is not installed")


@pytest.fixture(scope="module")
def microphone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    frames = list(decode(GRAPHS / "samples" / "austen.flac"))
    samples = soxr.resample(
        np.concatenate([f.samples[:, 0] for f in frames]), frames[0].rate, 48000
    )
    samples = samples[: 12 * 48000]
    path = tmp_path_factory.mktemp("microphone") / "speech.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(48000)
        file.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
    return path


@contextlib.asynccontextmanager
async def browser(microphone: Path, *more: str) -> AsyncIterator[Any]:
    """A browser whose microphone plays the file once."""
    options = [
        "--no-sandbox", "--disable-gpu", "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-audio-capture={microphone}%noloop",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        "--no-first-run", *more,
    ]  # fmt: skip
    async with playwright.async_playwright() as player:
        chromium = await player.chromium.launch(executable_path=CHROMIUM, args=options)
        try:
            yield chromium
        finally:
            await chromium.close()


@contextlib.asynccontextmanager
async def gateway(keys: Keys | None = None, **limits: Any) -> AsyncIterator[tuple[Gateway, str]]:
    sessions = Sessions(counting_plan(), Limits(**limits), Resources())
    server = Gateway(sessions, {"/v1/stream": Native()}, pages=pages(sessions), keys=keys or Keys())
    port = await server.start("127.0.0.1", 0)
    try:
        yield server, f"http://127.0.0.1:{port}/"
    finally:
        await server.stop(grace=2)
        assert not sessions.open


def watched(page: Any) -> list[str]:
    """Everything that the page complains about, from now on."""
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda m: errors.append(m.text) if m.type in ("error", "warning") else None)
    return errors


async def downloaded(page: Any, button: str, path: Path) -> Path:
    async with page.expect_download() as download:
        await page.get_by_role("button", name=button).click()
    await (await download.value).save_as(path)
    return path


def test_captions_of_a_spoken_microphone(microphone: Path, tmp_path: Path) -> None:
    plan = load_graph(GRAPHS / "serve-captions.yaml", registry())

    async def main() -> None:
        async with (
            serve(plan, Settings(port=0)) as (_, port),
            browser(microphone, "--use-fake-ui-for-media-stream") as chromium,
        ):
            page = await chromium.new_page(viewport={"width": 1200, "height": 1000})
            errors = watched(page)
            await page.goto(f"http://127.0.0.1:{port}/")
            await page.get_by_role("button", name="Start captions").click()
            await playwright.expect(page.locator(".unstable")).to_have_text(SOMETHING)
            await playwright.expect(page.locator(".stable")).to_have_text(SOMETHING)
            finals = page.get_by_role("log")
            await finals.get_by_text("Dashwood").wait_for(timeout=20000)
            value, unit, *_ = (await page.locator("#age").inner_text()).split()
            assert 0.02 < float(value) * {"ms": 1e-3, "s": 1}[unit] < 10
            await page.locator("#rows").get_by_text("asr → out").wait_for(state="attached")
            await page.screenshot(path=tmp_path / "desktop.png", full_page=True)
            await page.get_by_role("button", name="Stop captions").click()
            await page.get_by_text("Stopped.").wait_for()
            said = await finals.inner_text()
            cues = webvtt.read(await downloaded(page, "Download VTT", tmp_path / "captions.vtt"))
            assert "Dashwood" in " ".join(cue.text for cue in cues)
            assert all(len(line) <= 42 for cue in cues for line in cue.lines)
            assert all(a.end_in_seconds <= b.start_in_seconds for a, b in zip(cues, cues[1:]))  # noqa: B905, RUF007
            assert cues[-1].end_in_seconds < 14
            path = await downloaded(page, "Download SRT", tmp_path / "captions.srt")
            blocks = list(srt.parse(path.read_text(encoding="utf-8")))
            words = [word for block in blocks for word in block.content.split()]
            assert words == [word for cue in cues for word in cue.text.split()]
            assert set(words) <= set(said.split())
            assert not errors

    asyncio.run(main())


def test_a_refused_microphone_is_explained(microphone: Path) -> None:
    async def main() -> None:
        async with (
            gateway() as (_, url),
            browser(microphone, "--deny-permission-prompts") as chromium,
        ):
            page = await chromium.new_page()
            await page.goto(url)
            await page.get_by_role("button", name="Start captions").click()
            alert = page.get_by_role("alert")
            await playwright.expect(alert).to_contain_text("The microphone was refused.")
            await playwright.expect(
                page.get_by_role("button", name="Start captions")
            ).to_be_enabled()

    asyncio.run(main())


def test_a_full_server_and_a_missing_key_are_explained(microphone: Path, tmp_path: Path) -> None:
    key, line = Keys.new("reader")
    file = tmp_path / "keys"
    file.write_text(line)
    keys = Keys(file)

    async def main() -> None:
        async with (
            gateway(keys, sessions=1, queue=0) as (server, url),
            browser(microphone, "--use-fake-ui-for-media-stream") as chromium,
        ):
            page = await chromium.new_page()
            start = page.get_by_role("button", name="Start captions")
            alert = page.get_by_role("alert")
            await page.goto(url)
            await start.click()
            await playwright.expect(alert).to_contain_text("This server needs a key.")
            await page.goto(f"{url}?token={key}")
            async with server.sessions.session(16000):
                await start.click()
                await playwright.expect(alert).to_contain_text("The server is full.")
            await start.click()
            await playwright.expect(page.get_by_role("status")).to_have_text("Listening.")
            await page.locator("#rows").get_by_text("in → count").wait_for(state="attached")
            assert not await alert.is_visible()

    asyncio.run(main())


def test_a_dropped_connection_is_taken_up_again_without_a_gap(microphone: Path) -> None:
    async def main() -> None:
        async with (
            gateway() as (server, url),
            browser(microphone, "--use-fake-ui-for-media-stream") as chromium,
        ):
            page = await chromium.new_page()
            errors = watched(page)
            await page.goto(url)
            await page.get_by_role("button", name="Start captions").click()
            status = page.get_by_role("status")
            finals = page.get_by_role("log").locator("p")
            await playwright.expect(finals).not_to_have_count(0)
            (session,) = server.sessions.open.values()
            for connection in list(server._server.connections):
                connection.transport.abort()
            await playwright.expect(status).to_contain_text("Taking it up again")
            await playwright.expect(status).to_have_text("Listening.")
            assert list(server.sessions.open) == [session.id]
            before = await finals.count()
            await playwright.expect(finals).not_to_have_count(before)
            await page.get_by_role("button", name="Stop captions").click()
            await playwright.expect(status).to_have_text("Stopped.")
            texts = await finals.locator("span").all_inner_texts()
            assert [text.split()[1] for text in texts] == [str(n) for n in range(len(texts))]
            # Every sample of every 50 ms frame came once: ten frames a final.
            assert [int(text.split()[3]) for text in texts[:-1]] == [
                8000 * (n + 1) for n in range(len(texts) - 1)
            ]
            assert not errors

    asyncio.run(main())


def test_a_phone_has_room_for_fingers_and_nothing_beside_the_screen(microphone: Path) -> None:
    async def main() -> None:
        async with gateway() as (_, url), browser(microphone) as chromium:
            page = await chromium.new_page(viewport={"width": 360, "height": 740})
            await page.goto(url)
            await page.locator("#drawing svg").wait_for()
            await page.get_by_text("As a table").press("Enter")
            await page.get_by_role("table").wait_for()
            assert await page.evaluate("document.documentElement.scrollWidth") == 360
            targets = await page.locator("button, summary").all()
            boxes = [await target.bounding_box() for target in targets]
            assert len(boxes) == 4
            assert all(box["height"] >= 44 and box["width"] >= 44 for box in boxes)

    asyncio.run(main())


def test_files_are_typed_and_nothing_else_is_served() -> None:
    async def main() -> None:
        async with gateway() as (_, url), httpx.AsyncClient(base_url=url) as client:
            page = await client.get("/")
            assert page.headers["content-type"] == "text/html; charset=utf-8"
            assert "'unsafe" not in page.headers["content-security-policy"]
            for name in re.findall(r'(?:src|href)="([^"]+)"', page.text):
                assert (await client.get(f"/{name}")).status_code == 200
            for path in ("/__init__.py", "/../__init__.py", "/index.html/"):
                assert (await client.get(path)).status_code == 404

    asyncio.run(main())


def test_graph_state_looks_back_ten_seconds_only() -> None:
    sessions = Sessions(counting_plan(), Limits(), Resources())
    track = sessions.recorder.track("count")
    second = 1_000_000_000
    sessions.recorder.add(WORK, track, 1 * second, 6 * second, 0.0)
    for work in (1, 2, 3):
        sessions.recorder.add(WORK, track, 20 * second, 20 * second + work * 1_000_000, 0.0)
    state = graph_state(sessions, 21 * second)
    (count,) = (node for node in state["nodes"] if node["name"] == "count")
    assert count["work"] == {"p50": 2.0, "p99": 3.0, "count": 3} and count["age"] is None
    assert graph_state(sessions, 40 * second)["nodes"][1]["work"] is None
    step = sessions.recorder.track("count: final")
    sessions.recorder.add(WORK, step, 20 * second, 20 * second + 300_000_000, 0.0)
    work = graph_state(sessions, 21 * second)["nodes"][1]["work"]
    assert work == {"p50": 300.0, "p99": 300.0, "count": 1}, "where the time of the node goes"
    assert [edge["source"] for edge in state["edges"]] == ["in", "count"]
