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
    typer.Option(help="SQLAlchemy URL, instead of the file in the folder (SPAR_DATABASE_URL)."),
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


@model.command("prepare")
def prepare_model() -> None:
    """Convert the embedded model once, so that the first start need not."""
    from app.cli.console import say
    from app.cli.progress import resolve

    say(f"The model is ready in {resolve(None)}")


def version() -> None:
    """Print the installed version."""
    print(__version__)
