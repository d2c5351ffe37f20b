"""`spar reproduce`: the paper's tables and figures, made again on the model that is served."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli import options
from app.cli.eval import DEFAULT_LENGTH, AtOnce, DataDir, Seed, Url
from app.cli.iterations import Overrides, Preset
from app.domain.options import Mode, SearchOptions

if TYPE_CHECKING:
    from app.cli.reproduce_lab import Lab, Wanted
    from app.evaluation.reproduce.report import Report

reproduce = typer.Typer(
    no_args_is_help=True,
    help="SPaR's tables and figures (arXiv 2412.11605), made again on the served model.",
)

To = Annotated[Path, typer.Option(help="Folder of the results.", metavar="FOLDER")]
Limit = Annotated[int | None, typer.Option(help="Only the first so many rows.", min=1)]
IFEvalFile = Annotated[
    Path, typer.Option("--data", help="Prompts with constraints, as IFEval has them.")
]
Version = Annotated[
    list[int] | None,
    typer.Option("--version", help="A version to measure; repeatable. Else all there are.", min=0),
]
Actor = Annotated[int, typer.Option(help="Version of the actor.", min=0)]
Refiner = Annotated[int, typer.Option(help="Version of the refiner.", min=0)]
Length = Annotated[int, typer.Option(help="Most tokens of one response.", min=1)]
Budget = Annotated[
    int,
    typer.Option(
        "--generations",
        help="Most generations of each search: the budget that all share.",
        min=1,
        max=16,
    ),
]
WithConstraints = Annotated[
    bool,
    typer.Option(
        "--with-constraints",
        help="Tell the searches the constraints, and so the checks that score them.",
    ),
]
Modes = Annotated[
    list[Mode] | None, typer.Option("--mode", help="A way to search; repeatable. Else all.")
]


@reproduce.command("iterations")
def iterations(  # noqa: PLR0913 - one parameter per option
    data: IFEvalFile,
    *,
    to: To = Path("docs/results/iterations"),
    followbench: Annotated[
        Path | None, typer.Option(help="FollowBench's rows, measured too where they are given.")
    ] = None,
    version: Version = None,
    judge: Annotated[
        int, typer.Option(help="Refiner's version that judges what no rule can score.", min=0)
    ] = 0,
    length: Length = DEFAULT_LENGTH,
    limit: Limit = None,
    seed: Seed = 0,
    at_once: AtOnce = 32,
    url: Url = None,
    data_dir: DataDir = None,
) -> None:
    """Tables 1 and 6, Figure 3: the actor of every iteration on IFEval and FollowBench."""
    from app.cli import reproduce_runs as runs

    benchmarks = [runs.answering("ifeval", data, runs.IFEVAL_SHOWN, length)]
    if followbench is not None:
        shown = runs.FOLLOWBENCH_SHOWN
        benchmarks.append(runs.answering("followbench", followbench, shown, length))
    wanted = _wanted("iterations", to, limit, seed, at_once, url=url, data_dir=data_dir)
    _make(wanted, lambda lab: runs.iterations(lab, benchmarks, version, judge))


@reproduce.command("judging")
def judging(  # noqa: PLR0913 - one parameter per option
    data: Annotated[
        list[Path],
        typer.Option("--data", help="Labelled pairs, as LLMBar has them; repeatable."),
    ],
    *,
    to: To = Path("docs/results/judging"),
    version: Version = None,
    votes: options.Votes = None,
    limit: Limit = None,
    seed: Seed = 0,
    at_once: AtOnce = 32,
    url: Url = None,
    data_dir: DataDir = None,
) -> None:
    """Tables 2, 8 and 9: the refiner of every iteration as judge; numbers of votes."""
    from app.cli import reproduce_runs as runs

    each = votes or SearchOptions().votes
    wanted = _wanted("judging", to, limit, seed, at_once, url=url, data_dir=data_dir)
    _make(wanted, lambda lab: runs.judging(lab, data, version, each))


@reproduce.command("refinement")
def refinement(  # noqa: PLR0913 - one parameter per option
    data: IFEvalFile,
    *,
    to: To = Path("docs/results/refinement"),
    mode: Modes = None,
    generations: Budget = 8,
    branch: options.Branch = None,
    beam: options.Beam = None,
    depth: options.Depth = None,
    votes: options.Votes = None,
    responses: Annotated[
        int, typer.Option(help="Responses that the rejected one is drawn from.", min=1, max=64)
    ] = 5,
    with_constraints: WithConstraints = False,
    actor: Actor = 0,
    refiner: Refiner = 0,
    length: Length = DEFAULT_LENGTH,
    limit: Limit = None,
    seed: Seed = 0,
    at_once: AtOnce = 8,
    url: Url = None,
    data_dir: DataDir = None,
) -> None:
    """Tables 3 and 10: each way to refine, from the same rejected responses, at equal budget."""
    from app.cli import reproduce_searches as searches

    asked = _asked(
        mode or list(searches.REPAIRING),
        actor,
        refiner,
        search={"branch": branch, "beam": beam, "depth": depth, "votes": votes},
        nodes=generations,
        seed=seed,
        length=length,
        with_constraints=with_constraints,
        responses=responses,
    )
    wanted = _wanted("refinement", to, limit, seed, at_once, url=url, data_dir=data_dir)
    _make(wanted, lambda lab: searches.refinement(lab, data, asked))


@reproduce.command("scaling")
def scaling(  # noqa: PLR0913 - one parameter per option
    data: IFEvalFile,
    *,
    to: To = Path("docs/results/scaling"),
    mode: Modes = None,
    generations: Budget = 15,
    branch: options.Branch = None,
    beam: options.Beam = None,
    depth: options.Depth = None,
    votes: options.Votes = None,
    with_constraints: WithConstraints = False,
    actor: Actor = 0,
    refiner: Refiner = 0,
    length: Length = DEFAULT_LENGTH,
    limit: Limit = None,
    seed: Seed = 0,
    at_once: AtOnce = 8,
    url: Url = None,
    data_dir: DataDir = None,
) -> None:
    """Figure 5: accuracy by the number of generations, for each way to search."""
    from app.cli import reproduce_searches as searches

    asked = _asked(
        mode or list(searches.SCALING),
        actor,
        refiner,
        search={"branch": branch, "beam": beam, "depth": depth, "votes": votes},
        nodes=generations,
        seed=seed,
        length=length,
        with_constraints=with_constraints,
    )
    wanted = _wanted("scaling", to, limit, seed, at_once, url=url, data_dir=data_dir)
    _make(wanted, lambda lab: searches.scaling(lab, data, asked))


@reproduce.command("ablations")
def ablations(  # noqa: PLR0913 - one parameter per option
    data: IFEvalFile,
    *,
    to: To = Path("docs/results/ablations"),
    llmbar: Annotated[
        Path | None, typer.Option(help="Labelled pairs to measure the refiners on.")
    ] = None,
    preset: Preset = "tiny",
    override: Overrides = None,
    rounds: Annotated[
        int, typer.Option("--iterations", help="Iterations of each variant.", min=1, max=10)
    ] = 2,
    variant: Annotated[
        list[str] | None,
        typer.Option(help='Only this one, such as "no tree search"; repeatable.'),
    ] = None,
    actor: Actor = 0,
    refiner: Refiner = 0,
    length: Length = DEFAULT_LENGTH,
    limit: Limit = None,
    seed: Seed = 0,
    at_once: AtOnce = 32,
    url: options.Url = options.DEFAULT_URL,
    data_dir: DataDir = None,
) -> None:
    """Tables 4 and 5: self-play without tree search, without iterating, without refinement.

    Needs a running server with its worker. Every variant starts from the same versions, which
    serve meanwhile; at the end what served before serves again. Stopped before its end, it leaves
    the iteration under way to the worker, and the same command goes on with it.
    """
    from app.cli import reproduce_ablations as made
    from app.domain.checkpoint import Versions

    known = [one.name for one in made.variants(rounds, 1)]
    for name in variant or ():
        if name not in known:
            raise typer.BadParameter(f"use one of {', '.join(known)}", param_hint="--variant")
    start = Versions(actor, refiner)
    plan = made.Plan(preset, rounds, tuple(override or ()), start, tuple(variant or ()))
    wanted = _wanted("ablations", to, limit, seed, at_once, url=url, data_dir=data_dir)
    _make(wanted, lambda lab: made.ablations(lab, plan, data, llmbar, length))


@reproduce.command("interference")
def interference(
    to: To = Path("docs/results/interference"),
    task: Annotated[
        list[str] | None,
        typer.Option(help="Only this one: characters or stories; repeatable."),
    ] = None,
    steps: Annotated[
        list[int] | None,
        typer.Option(help="Optimiser steps of a training; repeatable. Else 10 and 30.", min=1),
    ] = None,
    batch: Annotated[int, typer.Option(help="Pairs of a step.", min=2)] = 8,
    rate: Annotated[float, typer.Option(help="Learning rate.", min=1e-9)] = 2e-4,
    limit: Annotated[int, typer.Option(help="Prompts that each model is asked.", min=1)] = 64,
    seed: Seed = 0,
    data_dir: DataDir = None,
) -> None:
    """Figure 4: refined against interfering pairs, trained on the settings' model.

    Starts no server. Sizes for about ten minutes on two CPU cores.
    """
    from app.cli.progress import resolve
    from app.cli.reproduce_interference import TASKS, Size
    from app.cli.reproduce_interference import interference as made
    from app.cli.reproduce_lab import finish

    for name in task or ():
        if name not in TASKS:
            raise typer.BadParameter(f"use one of {', '.join(TASKS)}", param_hint="--task")
    wanted = _wanted("interference", to, limit, seed, 1, url=None, data_dir=data_dir)
    size = Size(tuple(sorted(set(steps or (10, 30)))), batch, limit, rate)
    model = resolve(wanted.where.settings.model)
    finish(made(wanted, model, task or list(TASKS), size), wanted.to)


def _asked(
    modes: list[Mode],
    actor: int,
    refiner: int,
    *,
    search: dict[str, int | None],
    nodes: int,
    length: int,
    **more: Any,
) -> Any:
    from app.cli.request import given
    from app.domain.checkpoint import Versions
    from app.evaluation.reproduce.searching import Asked

    names = ("branch", "beam", "depth", "votes", "gate", "early_stop")
    shape = {name: getattr(SearchOptions(), name) for name in names} | given(**search)
    return Asked(
        versions=Versions(actor, refiner),
        modes=tuple(dict.fromkeys(modes)),
        search=shape,
        sampling={"max_tokens": length},
        nodes=nodes,
        **more,
    )


def _wanted(
    name: str,
    to: Path,
    limit: int | None,
    seed: int,
    at_once: int,
    *,
    url: str | None,
    data_dir: Path | None,
) -> "Wanted":
    from app.cli.eval_work import Where
    from app.cli.reproduce_lab import Wanted
    from app.configure import settings_from
    from app.preflight import check_data_folder

    settings = settings_from(data=data_dir)
    check_data_folder(settings.data)
    return Wanted(name, to, Where(settings, url, at_once), limit, seed)


def _make(wanted: "Wanted", experiment: "Callable[[Lab], Awaitable[Report]]") -> None:
    """Make the experiment, and write what it found."""
    from app.cli.eval_store import within
    from app.cli.reproduce_lab import finish, laboratory
    from app.db.session import Database
    from app.errors import SparError
    from app.evaluation.http import ServerGone

    async def work(database: Database) -> "Report":
        async with laboratory(wanted, database) as lab:
            return await experiment(lab)

    try:
        report = within(wanted.where.settings.url, work)
    except ServerGone as error:
        raise SparError(
            f"{error.message}; what was found is kept, and the same command goes on with it"
        ) from error
    finish(report, wanted.to)
