"""The command line, `spar`."""

import io
import sys
from typing import Any

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
    reproduce,
    serve,
    stored,
)
from app.errors import SparError


class _Commands(TyperGroup):
    def invoke(self, ctx: Any) -> Any:
        """Run a command; an error meant for people is printed for people, without a traceback."""
        try:
            return super().invoke(ctx)
        except SparError as error:
            from app.cli.console import print_error

            print_error(error)
            raise typer.Exit(1) from error


cli = typer.Typer(
    name="spar",
    cls=_Commands,
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
cli.add_typer(reproduce.reproduce, name="reproduce")
cli.add_typer(keys.keys, name="keys")
cli.add_typer(maintain.db, name="db")
cli.add_typer(maintain.model, name="model")
cli.command("doctor")(doctor.doctor)
cli.command("version")(maintain.version)


def main() -> None:
    """Entry point of the console script `spar`."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal that cannot show a character gets a stand-in, not a traceback.
            stream.reconfigure(errors="replace")
    cli()
