"""The ``streamer`` command: one file a subcommand, imported when it is used."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from streamer import __version__
from streamer.errors import StreamerError

__all__ = ["COMMANDS", "main"]

COMMANDS = {
    "captions": "Caption a file, standard input or the microphone.",
    "say": "Say a text through the loudspeaker or into a file.",
    "run": "Run a graph.",
    "replay": "Run a recording again.",
    "serve": "Serve a graph over websockets.",
    "top": "Watch a running service.",
    "graph": "Check, draw and document graphs.",
    "init": "Start from a template.",
    "devices": "List microphones and speakers.",
    "models": "List models and where they come from.",
    "explain": "Explain an error code.",
}
"""Name and summary; module ``streamer.cli.NAME`` holds a function or a Typer app of that name."""

CRASH = 70
"""Exit code of an unforeseen error (EX_SOFTWARE)."""


class _Commands(TyperGroup):
    """Imports a command only when it is run, so that ``--help`` is quick."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return None
        return TyperCommand(cmd_name, help=COMMANDS[cmd_name])

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, command, rest = super().resolve_command(ctx, args)
        return name, _load(name) if name in COMMANDS else command, rest


def _load(name: str) -> Any:
    found = getattr(importlib.import_module(f"streamer.cli.{name}"), name)
    if isinstance(found, typer.Typer):
        return typer.main.get_command(found)
    app = typer.Typer(add_completion=False)
    app.command(name)(found)
    return typer.main.get_command(app)


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    help="Real-time speech pipelines: captions, events and spoken answers, offline.",
    epilog="streamer explain CODE says what an error means.",
)


def _show_version(value: bool) -> None:
    if value:
        typer.echo(f"streamer {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of errors.")] = False,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None: ...


def main(argv: list[str] | None = None) -> None:
    """Run the command line and exit. ``--debug`` may stand anywhere before a ``--``."""
    args = list(sys.argv[1:] if argv is None else argv)
    options = args[: args.index("--")] if "--" in args else args
    debug = "--debug" in options
    if debug:
        args.remove("--debug")
    try:
        typer.main.get_command(app).main(args, prog_name="streamer")
    except StreamerError as error:
        if debug:
            raise
        if not error.shown:
            _print_error(error)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        if debug:
            raise
        text = " ".join(str(error).split())
        typer.secho(f"Unforeseen error: {type(error).__name__}: {text}", fg="red", err=True)
        typer.echo("Run it again with --debug to see where, and report it.", err=True)
        sys.exit(CRASH)


def _print_error(error: StreamerError) -> None:
    from rich.console import Console
    from rich.text import Text

    from streamer.graph.problems import GraphProblems

    console = Console(stderr=True, highlight=False, soft_wrap=True)
    if isinstance(error, GraphProblems):
        console.print(error.rich())
        return
    console.print(Text.assemble((error.message, "bold red"), (f" [{error.code}]", "dim")))
    if error.hint:
        console.print(Text(error.hint))
