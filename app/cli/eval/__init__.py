"""`spar eval`: benchmarks asked of a server, kept row by row, reported and compared."""

import typer

from app.cli.eval import measure, stored

evaluations = typer.Typer(
    no_args_is_help=True,
    help="Measure a model on a benchmark; compare two runs.",
)

for _suite, _title in {
    "ifeval": "IFEval: instructions that a program can check, strictly and loosely.",
    "ifbench": "IFBench: the same with constraints that models have not been trained on.",
    "followbench": "FollowBench: constraints in levels, by rules where a rule can judge.",
}.items():
    evaluations.command(_suite)(measure.answering(_suite, _title))
evaluations.command("llmbar")(
    measure.judging("llmbar", "LLMBar: which of two responses is better, asked of the refiner.")
)
evaluations.command("list")(stored.list_runs)
evaluations.command("show")(stored.show)
evaluations.command("compare")(stored.compare)
evaluations.command("resume")(measure.resume)
