"""The commands of `spar reproduce`, one for each experiment."""

from pathlib import Path
from typing import Annotated

import typer

from app.cli import options
from app.cli.bundles import bundled
from app.cli.eval.options import DEFAULT_LENGTH, DataDir, Seed
from app.cli.reproduce.making import asked_of, check_names, make, wanted_of
from app.cli.reproduce.options import (
    Common,
    CommonAtServer,
    IFEvalFile,
    Length,
    Models,
    Playing,
    To,
    Trees,
    Version,
    WithConstraints,
)
from app.domain.options import SearchOptions


@bundled()
def iterations(
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
    common: Common,
) -> None:
    """Tables 1 and 6, Figure 3: the actor of every iteration on IFEval and FollowBench."""
    from app.cli.reproduce import runs
    from app.evaluation.reproduce.versions import answering

    wanted = wanted_of("iterations", to, common)
    benchmarks = [answering("ifeval", data, common.limit, length)]
    if followbench is not None:
        benchmarks.append(answering("followbench", followbench, common.limit, length))
    make(wanted, lambda lab: runs.iterations(lab, benchmarks, version, judge))


@bundled()
def judging(
    data: Annotated[
        list[Path],
        typer.Option("--data", help="Labelled pairs, as LLMBar has them; repeatable."),
    ],
    *,
    to: To = Path("docs/results/judging"),
    version: Version = None,
    votes: options.Votes = None,
    common: Common,
) -> None:
    """Tables 2, 8 and 9: the refiner of every iteration as judge; numbers of votes."""
    from app.cli.reproduce import runs
    from app.evaluation.data import joined
    from app.evaluation.reproduce import versions

    wanted = wanted_of("judging", to, common)
    each = votes or SearchOptions().votes
    benchmarks = [versions.judging(file, common.limit, each) for file in data]
    pairs = joined([one.data for one in benchmarks])
    make(wanted, lambda lab: runs.judging(lab, benchmarks, pairs, version))


@bundled(at_once=8)
def refinement(
    data: IFEvalFile,
    *,
    to: To = Path("docs/results/refinement"),
    trees: Trees,
    responses: Annotated[
        int, typer.Option(help="Responses that the rejected one is drawn from.", min=1, max=64)
    ] = 5,
    with_constraints: WithConstraints = False,
    models: Models,
    common: Common,
) -> None:
    """Tables 3 and 10: each way to refine, from the same rejected responses, at equal budget."""
    from app.cli.reproduce import searches
    from app.evaluation.data import read_data
    from app.evaluation.instructions import IFEVAL
    from app.evaluation.reproduce.search_reports import REPAIRING

    wanted = wanted_of("refinement", to, common)
    more = {"with_constraints": with_constraints, "responses": responses}
    asked = asked_of(trees, REPAIRING, models, common, **more)
    rows = read_data(IFEVAL, data, common.limit)
    make(wanted, lambda lab: searches.refinement(lab, rows, asked))


@bundled(generations=15, at_once=8)
def scaling(
    data: IFEvalFile,
    *,
    to: To = Path("docs/results/scaling"),
    trees: Trees,
    with_constraints: WithConstraints = False,
    models: Models,
    common: Common,
) -> None:
    """Figure 5: accuracy by the number of generations, for each way to search."""
    from app.cli.reproduce import searches
    from app.evaluation.data import read_data
    from app.evaluation.instructions import IFEVAL
    from app.evaluation.reproduce.search_reports import SCALING

    wanted = wanted_of("scaling", to, common)
    asked = asked_of(trees, SCALING, models, common, with_constraints=with_constraints)
    rows = read_data(IFEVAL, data, common.limit)
    make(wanted, lambda lab: searches.scaling(lab, rows, asked))


@bundled()
def ablations(
    data: IFEvalFile,
    *,
    to: To = Path("docs/results/ablations"),
    llmbar: Annotated[
        Path | None, typer.Option(help="Labelled pairs to measure the refiners on.")
    ] = None,
    playing: Playing,
    models: Models,
    common: CommonAtServer,
) -> None:
    """Tables 4 and 5: self-play without tree search, without iterating, without refinement.

    Needs a running server with its worker. Every variant starts from the same versions, which
    serve meanwhile; at the end what served before serves again. Stopped before its end, it leaves
    the iteration under way to the worker, and the same command goes on with it.
    """
    from app.cli.reproduce import ablations as made
    from app.domain.checkpoint import Versions
    from app.evaluation.reproduce import versions
    from app.evaluation.reproduce.ablations import variants

    check_names("--variant", playing.variant, [one.name for one in variants(playing.rounds, 1)])
    wanted = wanted_of("ablations", to, common)
    benchmarks = [versions.answering("ifeval", data, common.limit, models.length)]
    if llmbar is not None:
        benchmarks.append(versions.judging(llmbar, common.limit, SearchOptions().votes))
    start = Versions(models.actor, models.refiner)
    overrides, names = tuple(playing.override or ()), tuple(playing.variant or ())
    plan = made.Plan(playing.preset, playing.rounds, overrides, start, names)
    make(wanted, lambda lab: made.ablations(lab, plan, benchmarks))


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
    from app.cli.reproduce import interference as made
    from app.cli.reproduce.lab import finish

    check_names("--task", task, made.TASKS)
    wanted = wanted_of("interference", to, Common(limit, seed, 1, data_dir=data_dir))
    size = made.Size(tuple(sorted(set(steps or (10, 30)))), batch, limit, rate)
    model = resolve(wanted.where.settings.model)
    finish(made.interference(wanted, model, task or list(made.TASKS), size), wanted.to)
