"""The command line, `spar`."""

import io
import sys
from collections.abc import Mapping
from typing import Any, ClassVar

import typer
from typer.core import TyperGroup

from app.cli import (
    answer,
    checkpoints,
    doctor,
    eval,
    feedback,
    iterations,
    keys,
    maintain,
    prompts,
    serve,
    stored,
)
from app.errors import SparError


class CommandGroup(TyperGroup):
    """Prints errors meant for users without a traceback, and names what replaces a command."""

    replaced: ClassVar[Mapping[str, str]] = {}
    """By the name of a removed command, what to run instead."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find a command; the error for a removed one says what replaces it."""
        if args and args[0] in self.replaced:
            ctx.fail(f"`{args[0]}` was removed: use {self.replaced[args[0]]}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run a command; a `SparError` is printed without a traceback, with exit status 1."""
        try:
            return super().invoke(ctx)
        except SparError as error:
            from app.cli.console import print_error

            print_error(error)
            raise typer.Exit(1) from error


class _Spar(CommandGroup):
    replaced: ClassVar[Mapping[str, str]] = {
        "reproduce": "`python -m experiments NAME` in a checkout of the project"
    }


cli = typer.Typer(
    name="spar",
    cls=_Spar,
    help="Answers that are searched for. Exit codes: 0 done, 1 error, 2 usage, 130 interrupted.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
cli.command("serve")(serve.serve)
cli.command("generate")(answer.generate)
cli.command("judge")(answer.judge)
cli.command("searches")(stored.searches)
cli.command("show")(stored.show)
cli.command("feedback")(feedback.feedback)
cli.command("iterate")(iterations.iterate)
cli.add_typer(iterations.iterations, name="iterations")
cli.command("bootstrap")(prompts.bootstrap)
cli.command("export")(prompts.export)
cli.add_typer(prompts.prompts, name="prompts")
cli.add_typer(checkpoints.checkpoints, name="checkpoints")
cli.command("serving")(checkpoints.serving)
cli.add_typer(eval.evaluations, name="eval")
cli.add_typer(keys.keys, name="keys")
cli.add_typer(maintain.db, name="db")
cli.add_typer(maintain.model, name="model")
cli.command("doctor")(doctor.doctor)
cli.command("version")(maintain.version)


def main() -> None:
    """Entry point of the console script `spar`."""
    run(cli)


def run(commands: typer.Typer) -> None:
    """Run a command line in this process."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal that cannot show a character gets a stand-in, not a traceback.
            stream.reconfigure(errors="replace")
    commands()
