"""`spar eval`: benchmarks run against a server, stored row by row, reported and compared."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.eval.options import (
    AtOnce,
    DataDir,
    DataFile,
    Json,
    ModeOption,
    Output,
    Rows,
    RunName,
    RunOptions,
    ServerOptions,
    WithConstraints,
    Writing,
)
from app.cli.options import AcceptThreshold, Search, Votes, bundled, given
from app.domain.checkpoint import Role, parse_served_name
from app.domain.search import Mode

if TYPE_CHECKING:
    from app.config.settings import Settings

Options = Mapping[str, Mapping[str, Any]]

evaluations = typer.Typer(
    no_args_is_help=True,
    help="Measure a model on a benchmark; compare two runs.",
)


def answering(suite: str, title: str) -> Callable[..., None]:
    """The command of a benchmark that has the actor answer prompts."""

    @bundled()
    def command(
        *,
        rows: Rows,
        with_constraints: WithConstraints = False,
        mode: ModeOption = Mode.GREEDY,
        search: Search,
        writing: Writing,
        run: RunOptions,
        output: Output,
        server: ServerOptions,
    ) -> None:
        from app.evaluation.base import SHAPE, search_shape

        asked = {
            "search": search_shape(*SHAPE, **asdict(search)),
            "budget": given(max_nodes=writing.max_nodes, max_tokens=writing.max_tokens),
            "sampling": given(
                temperature=writing.temperature, top_p=writing.top_p, max_tokens=writing.length
            ),
        }
        more = {"mode": mode, "with_constraints": with_constraints}
        _measure(suite, asked, rows, run, server, output, **more)

    command.__doc__ = title
    return command


def judging(suite: str, title: str) -> Callable[..., None]:
    """The command of a benchmark that has the refiner judge given responses."""

    @bundled()
    def command(
        *,
        rows: Rows,
        votes: Votes = None,
        accept_threshold: AcceptThreshold = None,
        run: RunOptions,
        output: Output,
        server: ServerOptions,
    ) -> None:
        from app.evaluation.base import search_shape

        search = search_shape(
            "votes", "accept_threshold", votes=votes, accept_threshold=accept_threshold
        )
        asked: Options = {"search": search, "budget": {}, "sampling": {}}
        _measure(suite, asked, rows, run, server, output, mode=None)

    command.__doc__ = title
    return command


for _suite, _title in {
    "ifeval": "IFEval: instructions that a program can check, strictly and loosely.",
    "ifbench": "IFBench: the same with constraints that models have not been trained on.",
    "followbench": "FollowBench: constraints in levels, scored by rules where rules can decide.",
}.items():
    evaluations.command(_suite)(answering(_suite, _title))
evaluations.command("llmbar")(
    judging("llmbar", "LLMBar: which of two responses is better, asked of the refiner.")
)


@evaluations.command("resume")
@bundled()
def resume(
    run: RunName,
    *,
    data: DataFile = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Ask failed rows again.")
    ] = False,
    at_once: AtOnce = 32,
    output: Output,
    server: ServerOptions,
) -> None:
    """Resume a run that stopped before its end."""
    from app.cli.eval import runs
    from app.cli.eval.stored import show_report
    from app.cli.maintain import settings_in, within

    target = runs.ServerTarget(settings_in(server.data_dir), server.url, at_once)
    report = within(
        target.settings.url,
        lambda database: runs.resume(target, run, database, file=data, retry_failed=retry_failed),
    )
    show_report(report, as_json=output.as_json, file=output.markdown)


@evaluations.command("list")
def list_runs(
    limit: Annotated[int, typer.Option(help="How many.", min=1)] = 20,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """List the newest runs."""
    from app.cli.console import out, print_json
    from app.cli.eval.stored import draw_list, newest_runs, run_values
    from app.cli.maintain import settings_in, within

    runs = within(settings_in(data_dir).url, lambda database: newest_runs(database, limit))
    if as_json:
        print_json([run_values(run) for run in runs])
    else:
        console = out()
        console.print(draw_list(runs, console.width))


@evaluations.command("show")
@bundled()
def show(
    run: RunName,
    *,
    rows: Annotated[bool, typer.Option("--rows", help="Show every row.")] = False,
    output: Output,
    data_dir: DataDir = None,
) -> None:
    """Show the report of a run."""
    from app.cli.eval.stored import read_report, show_report
    from app.cli.maintain import settings_in, within

    report = within(settings_in(data_dir).url, lambda database: read_report(database, run))
    show_report(report, as_json=output.as_json, file=output.markdown, rows=rows)


@evaluations.command("compare")
def compare(
    first: Annotated[str, typer.Argument(metavar="FIRST", help="Id or label of a run.")],
    second: Annotated[str, typer.Argument(metavar="SECOND", help="The run to compare with it.")],
    metric: Annotated[str | None, typer.Option(help="Compare only this metric.")] = None,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Compare two runs row by row: differences, 95 % intervals, and p-values."""
    from app.cli.console import print_json
    from app.cli.eval.stored import compare_stored, show_comparison
    from app.cli.maintain import settings_in, within

    found = within(
        settings_in(data_dir).url,
        lambda database: compare_stored(database, first, second, metric),
    )
    if as_json:
        print_json(asdict(found))
    else:
        show_comparison(found)


def _measure(
    suite: str,
    asked: Options,
    rows: Rows,
    run: RunOptions,
    server: ServerOptions,
    output: Output,
    **more: Any,
) -> None:
    """Make a run of a benchmark, and show its report. more: other fields of `NewRun`."""
    from app.cli.eval.runs import NewRun, ServerTarget, evaluate
    from app.cli.eval.stored import show_report
    from app.cli.maintain import settings_in, within

    settings = settings_in(server.data_dir)
    new = NewRun(
        suite=suite,
        file=_file(rows, settings),
        options=asked,
        versions=_versions(run.checkpoint),
        seed=run.seed,
        limit=rows.limit,
        name=run.name,
        resume=run.resume,
        **more,
    )
    target = ServerTarget(settings, server.url, run.at_once)
    report = within(settings.url, lambda database: evaluate(target, new, database))
    show_report(report, as_json=output.as_json, file=output.markdown)


def _versions(names: list[str] | None) -> Mapping[Role, int]:
    """`actor@3` as the actor's version 3.

    Raises:
        typer.BadParameter: A name is not a version, or a role is named twice.
    """
    versions: dict[Role, int] = {}
    for name in names or []:
        parsed = parse_served_name(name)
        if parsed is None:
            raise typer.BadParameter(f"{name!r} is not like actor@12", param_hint="--checkpoint")
        if parsed[0] in versions:
            raise typer.BadParameter(
                f"one run measures one {parsed[0]}; make another run for another version",
                param_hint="--checkpoint",
            )
        versions[parsed[0]] = parsed[1]
    return versions


def _file(rows: Rows, settings: "Settings") -> Path:
    """The file of the rows, fetched first where they are on a hub."""
    if (rows.data is None) == (rows.hub is None):
        raise typer.BadParameter("give either --data or --hub", param_hint="--data")
    if rows.data is not None:
        return rows.data
    from app.cli.eval.hub import fetch_rows

    assert rows.hub is not None, "one of the two is given"
    folder = settings.data / "benchmarks"
    return fetch_rows(rows.hub, folder, config=rows.hub_config, split=rows.split)
