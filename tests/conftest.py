"""For every test: a blocking call on the event loop is a failure."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from blockbuster import BlockBuster, blockbuster_ctx


@pytest.fixture(autouse=True)
def _nothing_blocks_the_loop() -> Iterator[BlockBuster]:
    with blockbuster_ctx("streamer") as detector:
        yield detector


@pytest.fixture(scope="session")
def corpus() -> Path:
    """The folder of development speech; tests that need it skip without it."""
    folder = os.environ.get("STREAMER_CORPUS")
    if not folder:
        pytest.skip("STREAMER_CORPUS is not set")
    return Path(folder)


@pytest.fixture(scope="session")
def sample() -> Path:
    """The spoken sample that ships with the project."""
    return Path(__file__).parent.parent / "graphs" / "samples" / "austen.flac"
