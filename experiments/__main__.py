"""`python -m experiments NAME`: the command line, one command for each experiment."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli import CommandGroup, options, run
from app.cli.eval.options import DEFAULT_LENGTH, AtOnce, DataDir, Seed, Url
from app.cli.iterations import Overrides, Preset
from app.cli.options import bundled
from app.domain.search import Mode, SearchOptions

if TYPE_CHECKING:
    from experiments.context import RunOptions
    from experiments.searches import SearchPlan

RESULTS = Path("docs/results")

To = Annotated[Path, typer.Option(help="Folder of the results.", metavar="FOLDER")]
IFEvalFile = Annotated[
    Path, typer.Option("--data", help="Prompts with constraints, in IFEval's format.")
]
Version = Annotated[
    list[int] | None,
    typer.Option("--version", help="A version to measure; repeatable. Default: all.", min=0),
]
Length = Annotated[int, typer.Option(help="Most tokens of one response.", min=1)]
WithConstraints = Annotated[
    bool,
    typer.Option(
        "--with-constraints",
        help="Send the constraints with each request, and so the checks by which it is scored.",
    ),
]


@dataclass(frozen=True, slots=True)
class Searching:
    """The search modes that are compared, and the options that they share."""

    mode: Annotated[
        list[Mode] | None, typer.Option("--mode", help="A search mode; repeatable. Default: all.")
    ] = None
    generations: Annotated[
        int,
        typer.Option(
            "--generations",
            help="Most generations of each search: the budget that all modes share.",
            min=1,
            max=16,
        ),
    ] = 8
    branch: options.Branch = None
    beam: options.Beam = None
    depth: options.Depth = None
    votes: options.Votes = None


@dataclass(frozen=True, slots=True)
class Models:
    """The versions that are asked, and the length of a response."""

    actor: Annotated[int, typer.Option(help="Version of the actor.", min=0)] = 0
    refiner: Annotated[int, typer.Option(help="Version of the refiner.", min=0)] = 0
    length: Length = DEFAULT_LENGTH


@dataclass(frozen=True, slots=True)
class SelfPlay:
    """The variants of self-play that are compared, and their size."""

    preset: Preset = "tiny"
    override: Overrides = None
    rounds: Annotated[
        int, typer.Option("--iterations", help="Iterations of each variant.", min=1, max=10)
    ] = 2
    variant: Annotated[
        list[str] | None,
        typer.Option(help='A variant, such as "no tree search"; repeatable. Default: all.'),
    ] = None


@dataclass(frozen=True, slots=True)
class Common:
    """The options of every experiment at a server."""

    limit: Annotated[
        int | None, typer.Option(help="Use only this many rows, from the first.", min=1)
    ] = None
    seed: Seed = 0
    at_once: AtOnce = 32
    url: Url = None
    data_dir: DataDir = None


@dataclass(frozen=True, slots=True)
class CommonAtServer(Common):
    """The same for experiments that need a running server."""

    url: options.Url = ""


cli = typer.Typer(
    name="python -m experiments",
    cls=CommandGroup,
    help="SPaR's tables and figures (arXiv 2412.11605), repeated on the served model.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@cli.command()
@bundled()
def iterations(
    data: IFEvalFile,
    *,
    to: To = RESULTS,
    followbench: Annotated[
        Path | None, typer.Option(help="Rows in FollowBench's format, measured as well.")
    ] = None,
    version: Version = None,
    judge: Annotated[
        int,
        typer.Option(help="Refiner's version that judges constraints without a rule.", min=0),
    ] = 0,
    length: Length = DEFAULT_LENGTH,
    common: Common,
) -> None:
    """Tables 1 and 6, Figure 3: the actor of every iteration on IFEval and FollowBench."""
    from experiments.context import execute
    from experiments.versions import answering, iterations_experiment

    about = _run_options("iterations", to, common)
    benchmarks = [answering("ifeval", data, common.limit, length)]
    if followbench is not None:
        benchmarks.append(answering("followbench", followbench, common.limit, length))
    execute(about, lambda context: iterations_experiment(context, benchmarks, version, judge))


@cli.command()
@bundled()
def judging(
    data: Annotated[
        list[Path],
        typer.Option("--data", help="Labelled pairs in LLMBar's format; repeatable."),
    ],
    *,
    to: To = RESULTS,
    version: Version = None,
    votes: options.Votes = None,
    common: Common,
) -> None:
    """Tables 2, 8 and 9: the refiner of every iteration as a judge; numbers of votes."""
    from app.evaluation.data import joined
    from experiments import versions
    from experiments.context import execute

    about = _run_options("judging", to, common)
    each = votes or SearchOptions().votes
    benchmarks = [versions.judging(file, common.limit, each) for file in data]
    pairs = joined([one.data for one in benchmarks])
    execute(about, lambda context: versions.judging_experiment(context, benchmarks, pairs, version))


@cli.command()
@bundled(at_once=8)
def refinement(
    data: IFEvalFile,
    *,
    to: To = RESULTS,
    searching: Searching,
    responses: Annotated[
        int,
        typer.Option(help="Responses from which the rejected one is drawn.", min=1, max=64),
    ] = 5,
    with_constraints: WithConstraints = False,
    models: Models,
    common: Common,
) -> None:
    """Tables 3 and 10: each search mode repairs the same rejected responses, at equal budget."""
    from app.evaluation.data import read_data
    from app.evaluation.instructions import IFEVAL
    from experiments.context import execute
    from experiments.searches import REFINEMENT_MODES, refinement_experiment

    about = _run_options("refinement", to, common)
    more = {"with_constraints": with_constraints, "responses": responses}
    plan = _search_plan(searching, REFINEMENT_MODES, models, common, **more)
    rows = read_data(IFEVAL, data, common.limit)
    execute(about, lambda context: refinement_experiment(context, rows, plan))


@cli.command()
@bundled(generations=15, at_once=8)
def scaling(
    data: IFEvalFile,
    *,
    to: To = RESULTS,
    searching: Searching,
    with_constraints: WithConstraints = False,
    models: Models,
    common: Common,
) -> None:
    """Figure 5: accuracy by the number of generations, for each search mode."""
    from app.evaluation.data import read_data
    from app.evaluation.instructions import IFEVAL
    from experiments.context import execute
    from experiments.searches import SCALING_MODES, scaling_experiment

    about = _run_options("scaling", to, common)
    plan = _search_plan(searching, SCALING_MODES, models, common, with_constraints=with_constraints)
    rows = read_data(IFEVAL, data, common.limit)
    execute(about, lambda context: scaling_experiment(context, rows, plan))


@cli.command()
@bundled()
def ablations(
    data: IFEvalFile,
    *,
    to: To = RESULTS,
    llmbar: Annotated[
        Path | None,
        typer.Option(help="Labelled pairs in LLMBar's format, to measure the refiners."),
    ] = None,
    play: SelfPlay,
    models: Models,
    common: CommonAtServer,
) -> None:
    """Tables 4 and 5: self-play without tree search, without iterating, without refinement.

    Needs a running server with its worker. Every variant starts from the same versions, which are
    promoted for it; at the end the versions served before are promoted again. If the command is
    interrupted, the worker continues the current iteration, and the same command resumes the run.
    """
    from app.domain.checkpoint import Versions
    from experiments import versions
    from experiments.ablations import Plan, ablations_experiment, variants
    from experiments.context import execute

    _check_names("--variant", play.variant, [one.name for one in variants(play.rounds, 1)])
    about = _run_options("ablations", to, common)
    benchmarks = [versions.answering("ifeval", data, common.limit, models.length)]
    if llmbar is not None:
        benchmarks.append(versions.judging(llmbar, common.limit, SearchOptions().votes))
    start = Versions(models.actor, models.refiner)
    overrides, names = tuple(play.override or ()), tuple(play.variant or ())
    plan = Plan(play.preset, play.rounds, overrides, start, names)
    execute(about, lambda context: ablations_experiment(context, plan, benchmarks))


@cli.command()
def interference(
    to: To = RESULTS,
    task: Annotated[
        list[str] | None,
        typer.Option(help="A task: characters or stories; repeatable. Default: both."),
    ] = None,
    steps: Annotated[
        list[int] | None,
        typer.Option(help="Optimiser steps of a training; repeatable. Default: 10 and 30.", min=1),
    ] = None,
    batch: Annotated[int, typer.Option(help="Pairs per step.", min=2)] = 8,
    rate: Annotated[float, typer.Option(help="Learning rate.", min=1e-9)] = 2e-4,
    limit: Annotated[int, typer.Option(help="Prompts that each model answers.", min=1)] = 64,
    seed: Seed = 0,
    data_dir: DataDir = None,
) -> None:
    """Figure 4: refined against interfering pairs, trained on the settings' model.

    Needs no server. With the default sizes it takes about ten minutes on two CPU cores.
    """
    from app.cli.maintain import resolve
    from experiments.context import save
    from experiments.interference import Size, interference_experiment
    from experiments.report import require_matplotlib
    from experiments.synthetic import TASKS

    _check_names("--task", task, TASKS)
    require_matplotlib()
    about = _run_options("interference", to, Common(limit, seed, 1, data_dir=data_dir))
    size = Size(tuple(sorted(set(steps or (10, 30)))), batch, limit, rate)
    model = resolve(about.where.settings.model)
    save(interference_experiment(about, model, task or list(TASKS), size), to)


def _check_names(option: str, given: list[str] | None, known: Iterable[str]) -> None:
    """Raise `typer.BadParameter` for an unknown name."""
    names = list(known)
    if any(name not in names for name in given or ()):
        raise typer.BadParameter(f"use one of {', '.join(names)}", param_hint=option)


def _search_plan(
    searching: Searching, modes: tuple[Mode, ...], models: Models, common: Common, **more: Any
) -> "SearchPlan":
    """The options of all searches. modes: those to compare where the command names none."""
    from app.domain.checkpoint import Versions
    from app.evaluation.base import search_shape
    from experiments.searches import SearchPlan

    return SearchPlan(
        versions=Versions(models.actor, models.refiner),
        modes=tuple(dict.fromkeys(searching.mode or modes)),
        search=search_shape(
            *("branch", "beam", "depth", "votes", "accept_threshold", "early_stop"),
            branch=searching.branch,
            beam=searching.beam,
            depth=searching.depth,
            votes=searching.votes,
        ),
        sampling={"max_tokens": models.length},
        nodes=searching.generations,
        seed=common.seed,
        **more,
    )


def _run_options(name: str, to: Path, common: Common) -> "RunOptions":
    """Raises `ConfigurationError` where the settings are invalid."""
    from app.cli.eval.runs import ServerTarget
    from app.cli.maintain import settings_in
    from experiments.context import RunOptions

    where = ServerTarget(settings_in(common.data_dir), common.url, common.at_once)
    return RunOptions(name, to, where, common.limit, common.seed)


if __name__ == "__main__":
    run(cli)
