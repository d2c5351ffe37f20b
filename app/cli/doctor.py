"""`spar doctor`: what is wrong with this machine and configuration, and what to do."""

from dataclasses import asdict
from typing import Annotated

import typer

from app.cli.maintain import Data, DatabaseUrl

STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def doctor(
    host: Annotated[str | None, typer.Option(help="Address to listen on (SPAR_HOST).")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on (SPAR_PORT).")] = None,
    data: Data = None,
    database_url: DatabaseUrl = None,
    model: Annotated[
        str | None, typer.Option(help="Model folder or hub name (SPAR_MODEL).")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Check this machine and the configuration; exit code 1 if something will not work."""
    from rich.text import Text

    from app.cli.console import clean, out, print_json
    from app.config.settings import settings_from
    from app.doctor import Level
    from app.doctor.examine import examine

    settings = settings_from(
        host=host, port=port, data=data, database_url=database_url, model=model
    )
    findings = list(examine(settings))
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            fix = f" -> {finding.fix}" if finding.fix else ""
            out().print(
                Text.assemble(
                    (f"{finding.level:<5}", STYLES[finding.level]),
                    f"{finding.check:<10}{clean(finding.words)}{clean(fix)}",
                ),
                soft_wrap=True,
            )
    if any(finding.level is Level.FAIL for finding in findings):
        raise typer.Exit(1)
