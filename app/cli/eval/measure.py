"""The commands that ask a server: one for each benchmark, and `spar eval resume`."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli import options
from app.cli.eval.options import (
    AtOnce,
    DataFile,
    ModeOption,
    Output,
    Rows,
    RunName,
    RunOptions,
    ServerOptions,
    WithConstraints,
    Writing,
)
from app.cli.options import bundled
from app.domain.checkpoint import Role, parse_served_name
from app.domain.search import Mode

if TYPE_CHECKING:
    from app.config.settings import Settings

Options = Mapping[str, Mapping[str, Any]]


def answering(suite: str, title: str) -> Callable[..., None]:
    """The command of a benchmark that asks for answers."""

    @bundled()
    def command(
        *,
        rows: Rows,
        with_constraints: WithConstraints = False,
        mode: ModeOption = Mode.GREEDY,
        search: options.Search,
        writing: Writing,
        run: RunOptions,
        output: Output,
        place: ServerOptions,
    ) -> None:
        from app.cli.options import given
        from app.evaluation.base import SHAPE, search_shape

        asked = {
            "search": search_shape(*SHAPE, **asdict(search)),
            "budget": given(max_nodes=writing.max_nodes, max_tokens=writing.max_tokens),
            "sampling": given(
                temperature=writing.temperature, top_p=writing.top_p, max_tokens=writing.length
            ),
        }
        more = {"mode": mode, "with_constraints": with_constraints}
        _measure(suite, asked, rows, run, place, output, **more)

    command.__doc__ = title
    return command


def judging(suite: str, title: str) -> Callable[..., None]:
    """The command of a benchmark that has the refiner judge given responses."""

    @bundled()
    def command(
        *,
        rows: Rows,
        votes: options.Votes = None,
        accept_threshold: options.AcceptThreshold = None,
        run: RunOptions,
        output: Output,
        place: ServerOptions,
    ) -> None:
        from app.evaluation.base import search_shape

        search = search_shape(
            "votes", "accept_threshold", votes=votes, accept_threshold=accept_threshold
        )
        asked: Options = {"search": search, "budget": {}, "sampling": {}}
        _measure(suite, asked, rows, run, place, output, mode=None)

    command.__doc__ = title
    return command


@bundled()
def resume(
    run: RunName,
    *,
    data: DataFile = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Ask again what could not be answered.")
    ] = False,
    at_once: AtOnce = 32,
    output: Output,
    place: ServerOptions,
) -> None:
    """Go on with a run that stopped before its end."""
    from app.cli.eval import work
    from app.cli.eval.server import Where
    from app.cli.eval.show import show_report
    from app.cli.eval.store import within
    from app.cli.maintain import settings_in

    where = Where(settings_in(place.data_dir), place.url, at_once)
    report = within(
        where.settings.url,
        lambda database: work.resume(where, run, database, file=data, retry_failed=retry_failed),
    )
    show_report(report, as_json=output.as_json, file=output.markdown)


def _measure(
    suite: str,
    asked: Options,
    rows: Rows,
    run: RunOptions,
    place: ServerOptions,
    output: Output,
    **more: Any,
) -> None:
    """Make a run of a benchmark, and show its report. more: other fields of `Wanted`."""
    from app.cli.eval.plan import Wanted
    from app.cli.eval.server import Where
    from app.cli.eval.show import show_report
    from app.cli.eval.store import within
    from app.cli.eval.work import evaluate
    from app.cli.maintain import settings_in

    settings = settings_in(place.data_dir)
    wanted = Wanted(
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
    where = Where(settings, place.url, run.at_once)
    report = within(settings.url, lambda database: evaluate(where, wanted, database))
    show_report(report, as_json=output.as_json, file=output.markdown)


def _versions(names: list[str] | None) -> Mapping[Role, int]:
    """`actor@3` as the actor's version 3, each role once. Raises `typer.BadParameter`."""
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
