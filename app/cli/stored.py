"""`spar searches` and `spar show`: what the server has stored."""

from typing import Annotated

import typer

from app.cli import options


def searches(
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many, newest first.")] = 20,
    as_json: options.Json = False,
    url: options.Url = options.DEFAULT_URL,
) -> None:
    """List the searches a server has stored."""
    from app.api.schemas import SearchPageOut
    from app.cli.client import Client
    from app.cli.console import out, print_json
    from app.cli.draw import draw_searches

    with Client(url) as client:
        raw = client.searches(limit)
        if as_json:
            print_json(raw)
        else:
            out().print(draw_searches(client.read(SearchPageOut, raw).searches))


def show(
    search_id: Annotated[str, typer.Argument(metavar="ID", help="Id of the search.")],
    as_json: options.Json = False,
    url: options.Url = options.DEFAULT_URL,
) -> None:
    """Draw the tree of a stored search, and its answer."""
    from app.api.schemas import SearchDetailOut
    from app.cli.client import Client
    from app.cli.console import clean, err, out, print_json
    from app.cli.draw import draw_summary, draw_tree

    with Client(url) as client:
        raw = client.search(search_id)
        if as_json:
            print_json(raw)
            return
        search = client.read(SearchDetailOut, raw)
    out().print(draw_tree(search.prompt, search.tree))
    print()
    print(clean(search.response))
    err().print(draw_summary(search), soft_wrap=True)
