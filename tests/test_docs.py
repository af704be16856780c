"""The documentation says what the code does."""

from __future__ import annotations

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from streamer.cli.graph import markdown_table
from streamer.codes import EXPLANATIONS
from streamer.nodes import registry

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_the_table_of_nodes_is_made_from_the_code() -> None:
    kinds = registry()
    classes = {kind: kinds.get(kind) for kind in kinds.kinds()}
    assert markdown_table(classes) in (ROOT / "docs" / "nodes.md").read_text()


def test_the_graph_in_the_readme_is_the_one_that_ships() -> None:
    block = README.split("```yaml\n")[1].split("```")[0]
    shipped = (ROOT / "graphs" / "live-captions.yaml").read_text()
    ours, theirs = (YAML(typ="safe", pure=True).load(text) for text in (block, shipped))
    assert ours["nodes"] == theirs["nodes"]


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda p: p.name)
def test_links_lead_somewhere(page: Path) -> None:
    for text, base in ((page.read_text(), page.parent), (README, ROOT)):
        for part in text.split("](")[1:]:
            target = part.split(")")[0]
            if not target.startswith(("http", "#")):
                assert (base / target).exists(), target


def test_the_readme_names_real_codes() -> None:
    for word in README.split("streamer explain ")[1:]:
        assert word.split("`")[0].strip() in EXPLANATIONS
