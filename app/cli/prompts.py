"""`spar prompts`, `spar bootstrap` and `spar export`: data in and out."""

from pathlib import Path
from typing import Annotated

import typer

from app.cli import options
from app.cli.groups import with_default
from app.cli.iterations import Detach, IterationId, Overrides, Preset, Promote, Seed

RowsFile = Annotated[
    Path,
    typer.Argument(metavar="FILE", exists=True, dir_okay=False, readable=True, help="JSONL file."),
]

prompts = typer.Typer(
    cls=with_default("count"), help="The pool of prompts to play on; alone, how many there are."
)


@prompts.command("import")
def import_prompts(file: RowsFile, url: options.Url = options.DEFAULT_URL) -> None:
    """Put prompts into the pool, from JSONL.

    A row has `prompt` or `messages`, and may have `constraints`, or IFEval's
    `instruction_id_list` and `kwargs`. What is there already is not added again.
    """
    from app.cli.admin import Admin
    from app.cli.data import send_file

    with Admin(url) as admin:
        send_file(admin, "prompts", file)


@prompts.command("count")
def count(
    as_json: Annotated[bool, typer.Option("--json", help="Print the counts as JSON.")] = False,
    url: options.Url = options.DEFAULT_URL,
) -> None:
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
    url: options.Url = options.DEFAULT_URL,
) -> None:
    """Train both roles on conversations: what to do before the first self-play.

    A row of the JSONL file has `role` (actor or refiner) and `messages`, the last of which is
    the assistant's.
    """
    from app.cli.admin import Admin
    from app.cli.data import send_file
    from app.cli.following import queue, request

    body = request(preset=preset, promote=promote, overrides=override, seed=seed, kind="bootstrap")
    with Admin(url) as admin:
        send_file(admin, "conversations", file, silent=as_json)
        queue(admin, body, detach=detach, as_json=as_json)


def export(
    iteration_id: IterationId,
    to: Annotated[Path, typer.Option(file_okay=False, help="Folder to write to.")],
    url: options.Url = options.DEFAULT_URL,
) -> None:
    """Write an iteration's training data as JSONL in TRL's formats, to train elsewhere."""
    from app.cli.admin import Admin
    from app.cli.data import export_samples

    with Admin(url) as admin:
        export_samples(admin, iteration_id, to)
