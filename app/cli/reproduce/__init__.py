"""`spar reproduce`: the paper's tables and figures, made again on the model that is served."""

import typer

from app.cli.reproduce import commands

reproduce = typer.Typer(
    no_args_is_help=True,
    help="SPaR's tables and figures (arXiv 2412.11605), made again on the served model.",
)
for _experiment in (
    commands.iterations,
    commands.judging,
    commands.refinement,
    commands.scaling,
    commands.ablations,
    commands.interference,
):
    reproduce.command(_experiment.__name__)(_experiment)
