"""The command line, `spar`."""

import io
import sys
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import typer
from typer.core import TyperGroup

from app import __version__
from app.cli import (
    checkpoints,
    demo,
    eval,
    iterations,
    keys,
    maintain,
    prompts,
    searches,
    serve,
)
from app.errors import SparError


class CommandGroup(TyperGroup):
    """Prints a `SparError` without a traceback, and names what replaces an old command or option.

    replaced: by the name of a removed command or option, what to use instead.
    """

    replaced: ClassVar[Mapping[str, str]] = {}

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find a command; a removed one, or a removed option of it, is a usage error."""
        options = args[: args.index("--")] if "--" in args else args
        for name in args[:1] + [text.partition("=")[0] for text in options if text[:2] == "--"]:
            if name in self.replaced:
                ctx.fail(f"`{name}` was removed: use {self.replaced[name]}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run a command; a `SparError` ends it with exit status 1."""
        try:
            return super().invoke(ctx)
        except SparError as error:
            from app.cli.console import print_error

            print_error(error)
            raise typer.Exit(1) from error


class _Spar(CommandGroup):
    replaced: ClassVar[Mapping[str, str]] = {
        "reproduce": "`python -m experiments NAME` in a checkout of the project",
        "version": "`spar --version`",
        "--gate": "`--accept-threshold`",
        "--first-look": "`--quick-verdict`",
        "--no-first-look": "`--no-quick-verdict`",
    }


cli = typer.Typer(
    name="spar",
    cls=_Spar,
    help="Inference-time search over vLLM, with self-play training. "
    "Exit status: 0 done, 1 error, 2 usage, 130 interrupted.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(__version__)
        raise typer.Exit


@cli.callback()
def spar(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Options before the command."""


cli.command("serve")(serve.serve)
cli.command("demo")(demo.demo)
cli.command("generate")(searches.generate)
cli.command("judge")(searches.judge)
cli.command("searches")(searches.list_searches)
cli.command("show")(searches.show)
cli.command("feedback")(searches.feedback)
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
cli.command("doctor")(maintain.doctor)


def main() -> None:
    """Entry point of the console script `spar`."""
    run(cli)


def run(commands: typer.Typer) -> None:
    """Run a command line in this process."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # Characters that the terminal cannot show are replaced, not raised as errors.
            stream.reconfigure(errors="replace")
    commands()
