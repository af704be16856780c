"""``streamer init``: a graph of your own, from one that ships."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from ruamel.yaml import YAML

from streamer.errors import InputError, OutputError
from streamer.graph.problems import suggest

__all__ = ["init", "templates"]


def templates() -> dict[str, Path]:
    """The graphs that ship, by name."""
    package = Path(__file__).parent.parent
    for folder in (package / "_shipped" / "graphs", package.parent / "graphs"):
        if folder.is_dir():
            return {path.stem: path for path in sorted(folder.glob("*.yaml"))}
    return {}


def init(
    template: Annotated[str, typer.Argument(help="A name from the list; none lists them.")] = "",
    path: Annotated[
        Path | None, typer.Argument(help="The file to write; TEMPLATE.yaml if not given.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
) -> None:
    """Copy a ready graph to start from, or list them."""
    known = templates()
    console = Console(highlight=False)
    if not template:
        table = Table("template", "what it does")
        for name, file in known.items():
            about = YAML(typ="safe", pure=True).load(file.read_text("utf-8"))
            table.add_row(name, " ".join(str(about.get("description", "")).split()))
        console.print(table)
        return
    if template not in known:
        raise InputError(
            f"There is no template {template!r}.",
            code="cli.unknown-template",
            hint=suggest(template, known),
        )
    target = path or Path(f"{template}.yaml")
    try:
        with target.open("w" if force else "x", encoding="utf-8") as file_out:
            file_out.write(known[template].read_text("utf-8"))
    except OSError as error:
        raise OutputError(
            f"{target} cannot be written: {error.strerror}.",
            code="output.unwritable",
            hint="Choose another path, or replace it with --force.",
        ) from error
    console.print(f"Wrote {target}. Run it: streamer run {target}", soft_wrap=True)
