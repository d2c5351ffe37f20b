"""`spar prompts`, `spar bootstrap` and `spar export`: data in and out."""

from pathlib import Path
from typing import Annotated

import typer

from app.cli import options
from app.cli.iterations import (
    Detach,
    IterationId,
    Overrides,
    Preset,
    Promote,
    Seed,
    iteration_request,
    queue,
)
from app.cli.options import with_default

RowsFile = Annotated[
    Path,
    typer.Argument(metavar="FILE", exists=True, dir_okay=False, readable=True, help="JSONL file."),
]

prompts = typer.Typer(
    cls=with_default("count"), help="The self-play prompts; without a command, their number."
)


@prompts.command("import")
def import_prompts(
    file: RowsFile,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only validate the file; needs no server.")
    ] = False,
    as_json: options.Json = False,
    url: options.Url = "",
) -> None:
    """Add prompts for self-play, from JSONL.

    A row has `prompt` or `messages`, and may have `constraints`, or IFEval's
    `instruction_id_list` and `kwargs`. Known prompts are not added again.

    The whole file is validated first: if a row is invalid, nothing is sent.
    """
    from app.cli.admin import Admin
    from app.cli.console import count, print_json, say
    from app.cli.data import read_rows, send_rows

    rows = read_rows(file, "prompts")
    if dry_run:
        totals = {"valid": len(rows)}
        text = f"{count(len(rows), 'valid row')}; nothing was sent"
    else:
        with Admin(url) as admin:
            totals = send_rows(admin, "prompts", rows)
        text = f"{totals['added']:,} new, {totals['known']:,} known already"
    if as_json:
        print_json(totals)
    else:
        say(text)


@prompts.command("count")
def count_prompts(as_json: options.Json = False, url: options.Url = "") -> None:
    """Count the prompts of each source."""
    from app.api.admin.schemas import PromptPageOut
    from app.cli.admin import Admin
    from app.cli.console import print_json, say

    with Admin(url) as admin:
        counts = admin.read(PromptPageOut, admin.pool()).counts
    if as_json:
        print_json({source.value: number for source, number in counts.items()})
        return
    for source, number in counts.items():
        say(f"{source.value:<10}{number:>10,}")


def bootstrap(
    file: RowsFile,
    preset: Preset = "tiny",
    promote: Promote = "gate",
    override: Overrides = None,
    seed: Seed = None,
    detach: Detach = False,
    as_json: options.Json = False,
    url: options.Url = "",
) -> None:
    """Fine-tune both roles on conversations, before the first self-play iteration.

    A row of the JSONL file has `role` (actor or refiner) and `messages`, the last of which is
    the assistant's.
    """
    from app.cli.admin import Admin
    from app.cli.console import say
    from app.cli.data import read_rows, send_rows

    body = iteration_request(
        preset=preset, promote=promote, overrides=override, seed=seed, kind="bootstrap"
    )
    rows = read_rows(file, "conversations")
    with Admin(url) as admin:
        totals = send_rows(admin, "conversations", rows)
        if not as_json:
            say(f"{totals['added']:,} new, {totals['known']:,} known already")
        queue(admin, body, detach=detach, as_json=as_json)


def export(
    iteration_id: IterationId,
    to: Annotated[Path, typer.Option(file_okay=False, help="Folder to write to.")],
    as_json: options.Json = False,
    url: options.Url = "",
) -> None:
    """Write an iteration's training data as JSONL in TRL's formats."""
    from app.cli.admin import Admin
    from app.cli.console import count, print_json, say
    from app.cli.data import export_samples

    with Admin(url) as admin:
        numbers = export_samples(admin, iteration_id, to)
    if as_json:
        print_json(numbers)
        return
    for role, number in numbers.items():
        where = f" in {to / f'{role}.jsonl'}" if number else ""
        say(f"{role}: {count(number, 'sample')}{where}")
