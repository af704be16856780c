"""``streamer models``: what models there are, where their files are, and whether they are right."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from rich.table import Column, Table

from streamer import hub
from streamer.errors import ModelError

__all__ = ["models"]

AsJson = Annotated[bool, typer.Option("--json", help="JSON instead of a table.")]
Name = Annotated[str, typer.Argument(help="A name of `streamer models`.", show_default=False)]

models = typer.Typer(add_completion=False, help="List models and where they come from.")


@models.callback(invoke_without_command=True)
def _default(ctx: typer.Context) -> None:
    if ctx.invoked_subcommand is None:
        list_(as_json=False)


@models.command("list")
def list_(as_json: AsJson = False) -> None:
    """All models that graphs can name."""
    known = hub.manifests()
    here = {name: hub.is_here(manifest) for name, manifest in known.items()}
    if as_json:
        entries = [
            {**manifest.model_dump(), "installed": here[name]} for name, manifest in known.items()
        ]
        typer.echo(json.dumps(entries, indent=2))
        return
    names = ("name", "task", "language", "Hz", "size", "licence", "here")
    table = Table(*(Column(name, no_wrap=True) for name in names), box=None)
    for name, manifest in known.items():
        size = sum(file.size for file in manifest.files.values())
        table.add_row(
            name,
            manifest.task,
            manifest.language,
            str(manifest.sample_rate),
            f"{size / 1e6:.1f} MB" if size else "",
            manifest.licence,
            "yes" if here[name] else "no",
        )
    Console().print(table)


@models.command()
def show(name: Name, as_json: AsJson = False) -> None:
    """One model: licence, front-end, files with checksums and where they are."""
    manifest = hub.manifest_of(name)
    paths = hub.locate(manifest)
    if as_json:
        found = {key: path and str(path) for key, path in paths.items()}
        typer.echo(json.dumps({**manifest.model_dump(), "paths": found}, indent=2))
        return
    rows = [
        ("name", f"{manifest.name} {manifest.version}"),
        ("", manifest.description),
        ("task", manifest.task),
        ("language", manifest.language),
        ("licence", manifest.licence),
        ("source", manifest.source),
        ("input", f"{manifest.sample_rate} Hz, {manifest.front_end}"),
        ("WER (%)", ", ".join(f"{key} {value}" for key, value in manifest.wer.items())),
    ]
    for key, file in manifest.files.items():
        rows.append((key, str(paths[key] or f"{file.path}: not on this machine")))
        rows.append(("", f"SHA-256 {file.sha256}" if file.sha256 else "no checksum published"))
    for label, value in rows:
        if value:
            typer.echo(f"{label:10} {value}")


@models.command()
def pull(name: Name) -> None:
    """Fetch what is missing of a model into the cache, and check it."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, TransferSpeedColumn(), console=Console(stderr=True)) as progress:
        tasks = {
            file.path: progress.add_task(file.path, total=file.size or None, visible=False)
            for file in hub.manifest_of(name).files.values()
        }
        hub.pull(
            name,
            lambda path, done, total: progress.update(
                tasks[path], completed=done, total=total, visible=True
            ),
        )
    typer.echo(f"{name} is ready.")


@models.command()
def verify(
    names: Annotated[
        list[str] | None, typer.Argument(help="Default: all that are here.", show_default=False)
    ] = None,
) -> None:
    """Read every byte of the files and compare the checksums."""
    chosen = names or [name for name, m in hub.manifests().items() if hub.is_here(m)]
    wrong = []
    for name in chosen:
        for key, outcome in hub.verify(name).items():
            typer.echo(f"{name} {key}: {outcome}")
            if outcome != "ok":
                wrong.append(f"{key} of {name} is {outcome}")
    if wrong:
        raise ModelError(
            f"Not every file is right: {', '.join(wrong)}.",
            code="model.checksum",
            hint="Delete wrong files; `streamer models pull NAME` fetches what is missing.",
        )
