"""`spar serve`: check the machine, prepare the model and the database, run the server."""

import asyncio
from typing import Annotated

import typer

from app.cli.maintain import Data, DatabaseUrl


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on (SPAR_HOST).")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on (SPAR_PORT).")] = None,
    data: Data = None,
    database_url: DatabaseUrl = None,
    model: Annotated[
        str | None,
        typer.Option(help="Model folder or hub name (SPAR_MODEL); else the embedded model."),
    ] = None,
    context_tokens: Annotated[
        int | None,
        typer.Option(help="Longest prompt and answer in tokens (SPAR_CONTEXT_TOKENS)."),
    ] = None,
    max_num_seqs: Annotated[
        int | None, typer.Option(help="Sequences decoded concurrently (SPAR_MAX_NUM_SEQS).")
    ] = None,
) -> None:
    """Run the server. Every other setting is an environment variable SPAR_..."""
    from app.cli.console import say
    from app.cli.maintain import resolve
    from app.config.preflight import check_data_folder, check_port, check_python, check_sleep
    from app.config.settings import settings_from
    from app.db.upgrade import upgrade
    from app.engine.arguments import serving_dtype
    from app.keys.policy import check_keys

    settings = settings_from(
        host=host,
        port=port,
        data=data,
        database_url=database_url,
        model=model,
        context_tokens=context_tokens,
        max_num_seqs=max_num_seqs,
    )
    check_python()
    check_data_folder(settings.data)
    check_port(settings.host, settings.port)
    check_sleep(settings.sleep_while_training)
    say(f"Data folder: {settings.data.absolute()}")
    path = resolve(settings.model)
    say(f"Model: {path}")
    if not settings.remote_engines:
        say(f"Number type: {serving_dtype(settings.dtype)}")
    upgrade(settings.url)
    say("Database: up to date")
    asyncio.run(check_keys(settings))
    say(f"Starting the engine and the server on {settings.host}:{settings.port}")

    from app.main import serve as run

    run(settings, path)
