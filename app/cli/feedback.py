"""`spar feedback`: say what an answer is worth."""

from pathlib import Path
from typing import Annotated

import typer

from app.cli import options


def feedback(
    search_id: Annotated[str, typer.Argument(metavar="SEARCH_ID", help="Id of the search.")],
    up: Annotated[bool, typer.Option("--up", help="The answer is good.")] = False,
    down: Annotated[bool, typer.Option("--down", help="The answer is bad.")] = False,
    better: Annotated[
        str | None, typer.Option(help="What the answer should have been: it is learned from.")
    ] = None,
    better_file: Annotated[
        Path | None, typer.Option(help="File with a better answer; `-` is standard input.")
    ] = None,
    comment: Annotated[str | None, typer.Option(help="A note for people.")] = None,
    as_json: options.Json = False,
    url: options.Url = options.DEFAULT_URL,
) -> None:
    """Rate the answer of a search, or give a better one."""
    from app.api.admin.schemas import FeedbackIn, FeedbackOut
    from app.cli.admin import Admin
    from app.cli.console import print_json, say
    from app.cli.options import checked, given, read_file

    if up and down:
        raise typer.BadParameter("give either --up or --down", param_hint="--up")
    if better is not None and better_file is not None:
        raise typer.BadParameter("give either --better or --better-file", param_hint="--better")
    if better_file is not None:
        better = read_file(better_file, "--better-file")
    rating = 1 if up else -1 if down else None
    body = {"search_id": search_id} | given(rating=rating, better=better, comment=comment)
    with Admin(url) as admin:
        raw = admin.feedback(checked(FeedbackIn, body))
        if as_json:
            print_json(raw)
        else:
            say(f"Thank you; feedback {admin.read(FeedbackOut, raw).id} is stored.")
