"""The commands that read runs from the database: `spar eval list`, `show` and `compare`."""

from typing import Annotated

import typer

from app.cli.eval.options import DataDir, Json, Output, RunName
from app.cli.options import bundled

_LISTED = 20


def list_runs(
    limit: Annotated[int, typer.Option(help="How many.", min=1)] = _LISTED,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """List the newest runs."""
    from app.cli.console import out, print_json
    from app.cli.eval.show import draw_list, run_values
    from app.cli.eval.store import newest_runs, within
    from app.cli.maintain import settings_in

    runs = within(settings_in(data_dir).url, lambda database: newest_runs(database, limit))
    if as_json:
        print_json([run_values(run) for run in runs])
    else:
        console = out()
        console.print(draw_list(runs, console.width))


@bundled()
def show(
    run: RunName,
    *,
    rows: Annotated[bool, typer.Option("--rows", help="Show every row as well.")] = False,
    output: Output,
    data_dir: DataDir = None,
) -> None:
    """Show what a run found."""
    from app.cli.eval.show import show_report
    from app.cli.eval.store import read_report, within
    from app.cli.maintain import settings_in

    report = within(settings_in(data_dir).url, lambda database: read_report(database, run))
    show_report(report, as_json=output.as_json, file=output.markdown, rows=rows)


def compare(
    first: Annotated[str, typer.Argument(metavar="FIRST", help="Id or label of a run.")],
    second: Annotated[str, typer.Argument(metavar="SECOND", help="The run to compare with it.")],
    metric: Annotated[str | None, typer.Option(help="Only this one; a subset's too.")] = None,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Compare two runs row by row: differences, 95 % intervals, and how likely by chance."""
    from dataclasses import asdict

    from app.cli.console import print_json
    from app.cli.eval.show import show_comparison
    from app.cli.eval.store import compare_stored, within
    from app.cli.maintain import settings_in

    found = within(
        settings_in(data_dir).url,
        lambda database: compare_stored(database, first, second, metric),
    )
    if as_json:
        print_json(asdict(found))
    else:
        show_comparison(found)
