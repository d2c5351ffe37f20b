"""`spar db`, `spar model` and `spar version`: looking after an installation."""

from pathlib import Path
from typing import Annotated

import typer

from app import __version__

Data = Annotated[
    Path | None, typer.Option(help="Folder of the database and the checkpoints (SPAR_DATA).")
]
DatabaseUrl = Annotated[
    str | None,
    typer.Option(help="Database URL, instead of the file in the folder (SPAR_DATABASE_URL)."),
]

db = typer.Typer(no_args_is_help=True, help="Look after the database.")
model = typer.Typer(no_args_is_help=True, help="Look after the embedded model.")


@db.command("upgrade")
def upgrade_database(data: Data = None, database_url: DatabaseUrl = None) -> None:
    """Create the database, or bring it to this version's layout."""
    from app.cli.console import say
    from app.configure import settings_from
    from app.db.upgrade import upgrade
    from app.preflight import check_data_folder

    settings = settings_from(data=data, database_url=database_url)
    check_data_folder(settings.data)
    upgrade(settings.url)
    say("The database is up to date.")


@db.command("prune")
def prune_database(
    older_than: Annotated[str, typer.Option(help="Forget searches older than this: 30d, 12h.")],
    keep_accepted: Annotated[
        bool, typer.Option("--keep-accepted", help="Keep searches whose answer was accepted.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say how many.")] = False,
    data: Data = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Forget old searches, in batches, while servers go on.

    Searches with feedback, and those that iterations made training data of, are kept.
    """
    import asyncio

    from app.cli.pruning import age, run
    from app.configure import settings_from

    settings = settings_from(data=data, database_url=database_url)
    asyncio.run(run(settings.url, age(older_than), keep_accepted=keep_accepted, dry_run=dry_run))


@model.command("prepare")
def prepare_model() -> None:
    """Convert the embedded model once, so that the first start need not."""
    from app.cli.console import say
    from app.cli.progress import resolve

    say(f"The model is ready in {resolve(None)}")


def version() -> None:
    """Print the installed version."""
    print(__version__)
