"""``streamer graph``: check and draw graphs, print their schema and the table of nodes."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from streamer.cli._session import variables
from streamer.errors import StreamerError
from streamer.graph import GraphPlan, Node, PortSpec
from streamer.graph.build import load_graph
from streamer.graph.draw import describe_queue, draw_mermaid, draw_text
from streamer.graph.problems import GraphProblems, Problem
from streamer.graph.schema import json_schema
from streamer.nodes import registry

__all__ = ["graph", "markdown_table"]

graph = typer.Typer(help="Check, draw and document graphs.", no_args_is_help=True)

Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Fill ${NAME} in the graph."),
]
Strict = Annotated[bool, typer.Option("--strict", help="Refuse unbounded edges too.")]


@graph.command()
def check(
    files: Annotated[list[Path], typer.Argument(help="Graph files.")],
    settings: Settings = None,
    strict: Strict = False,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON list of problems.")] = False,
) -> None:
    """Check graphs without running them; shows what was added. Exit code 2 if one is wrong."""
    values, kinds = variables(settings or []), registry()
    found: list[Problem] = []
    out, err = Console(highlight=False, soft_wrap=True), Console(stderr=True, soft_wrap=True)
    for file in files:
        try:
            plan = load_graph(file, kinds, settings=values, strict=strict)
        except GraphProblems as error:
            found += error.problems
            if not as_json:
                err.print(error.rich())
        except StreamerError as error:
            found.append(Problem(error.code, error.message, error.hint, str(file)))
            if not as_json:
                err.print(escape(str(error)), style="bold red")
        else:
            if not as_json:
                _show(out, file, plan)
    if as_json:
        typer.echo(json.dumps([dataclasses.asdict(problem) for problem in found], indent=2))
    if found:
        raise typer.Exit(2)


def _show(console: Console, file: Path, plan: GraphPlan) -> None:
    console.print(f"[green]ok[/] {file}: {len(plan.nodes)} nodes, {len(plan.edges)} edges")
    for name, node in plan.nodes.items():
        if node.cls.converts is not None and "/convert" in name:
            values = ", ".join(f"{k} {v}" for k, v in node.config.model_dump().items())
            console.print(f"   added {name} ({node.cls.kind}: {values})")
    for edge in plan.edges:
        if getattr(plan.nodes[edge.source].cls, "live", False):
            console.print(f"   live  {edge.name}: {describe_queue(edge.queue)}")


@graph.command()
def draw(
    file: Annotated[Path, typer.Argument(help="A graph file.")],
    settings: Settings = None,
    mermaid: Annotated[bool, typer.Option("--mermaid", help="A Mermaid flowchart.")] = False,
) -> None:
    """Draw a graph with every edge's type and limit."""
    plan = load_graph(file, registry(), settings=variables(settings or []))
    typer.echo(draw_mermaid(plan) if mermaid else draw_text(plan), nl=False)


@graph.command()
def schema() -> None:
    """Print the JSON Schema of graph files, for editors."""
    typer.echo(json.dumps(json_schema(registry()), indent=2))


@graph.command()
def nodes(
    kind: Annotated[str, typer.Argument(help="Only kinds that contain this.")] = "",
    markdown: Annotated[bool, typer.Option("--markdown", help="A Markdown table.")] = False,
) -> None:
    """List node kinds with their ports and settings."""
    kinds = registry()
    classes: dict[str, type[Node]] = {}
    broken: list[StreamerError] = []
    for name in kinds.kinds():
        if kind in name:
            try:
                classes[name] = kinds.get(name)
            except StreamerError as error:
                broken.append(error)
    if markdown:
        typer.echo(markdown_table(classes), nl=False)
    else:
        table = Table("kind", "takes", "gives", "settings", show_lines=True)
        for name, cls in classes.items():
            table.add_row(*(escape("\n".join(cell)) for cell in _cells(name, cls)))
        Console(highlight=False).print(table)
    for failure in broken:
        typer.secho(str(failure), fg="red", err=True)


def markdown_table(classes: dict[str, type[Node]]) -> str:
    """The table of nodes for documentation."""
    rows = ["| kind | what it does | takes | gives | settings |", "| --- | --- | --- | --- | --- |"]
    for name, cls in classes.items():
        (_, *about), *rest = _cells(name, cls)
        cells = [f"`{name}`", " ".join(about), *("<br>".join(cell) for cell in rest)]
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows) + "\n"


def _cells(kind: str, cls: type[Node]) -> tuple[list[str], list[str], list[str], list[str]]:
    ins, outs = cls.ports()
    about = _summary(cls)
    properties = cls.Config.model_json_schema()["properties"] if cls.Config.model_fields else {}
    settings = []
    for name, field in cls.Config.model_fields.items():
        default = (
            "required"
            if field.is_required()
            else _yaml(field.get_default(call_default_factory=True, validated_data={}))
        )
        text = field.description or properties.get(name, {}).get("description", "")
        settings.append(f"{name}: {default}" + (f" ({text})" if text else ""))
    return (
        [kind, *about],
        [_port(port) for port in ins.values()],
        [_port(port) for port in outs.values()],
        settings,
    )


def _summary(cls: type[Node]) -> list[str]:
    lines = (cls.__doc__ or "").strip().splitlines()[:1]
    return [re.sub(r"(?::\w+:)?`+([^`]*)`+", r"\1", line) for line in lines]


def _port(port: PortSpec) -> str:
    marks = [word for word, on in (("optional", port.optional), ("several", port.many)) if on]
    return f"{port.name}: {port.type_name}" + (f" ({', '.join(marks)})" if marks else "")


def _yaml(value: Any) -> str:
    return json.dumps(value, default=str) if not isinstance(value, str) else value or '""'
