"""The options that commands share. Their defaults are the server's, shown in the help."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer

from app.domain.options import Mode, SearchOptions

_DEFAULT = SearchOptions()
_SEARCH, _BUDGET, _SAMPLING, _OUTPUT = "Search", "Budget", "Sampling", "Output and server"
_CONSTRAINT_HELP = (
    "What a program checks about the answer: an id, or ID=JSON with its arguments, for "
    'example \'length_constraints:number_words={"relation": "at most", "num_words": 50}\'. '
    "Repeatable."
)


def web_address(url: str) -> str:
    """The address as given. Raises `typer.BadParameter` for what is none."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise typer.BadParameter(f"{url} is not an address; write it like http://127.0.0.1:8000")
    return url


def _option(text: str, panel: str) -> Any:
    return typer.Option(help=text, rich_help_panel=panel)


def _search(text: str, default: float) -> Any:
    return typer.Option(help=text, rich_help_panel=_SEARCH, show_default=str(default))


Url = Annotated[
    str,
    typer.Option(
        envvar="SPAR_URL", callback=web_address, help="The server.", rich_help_panel=_OUTPUT
    ),
]
Json = Annotated[
    bool,
    typer.Option(
        "--json", help="Print the server's JSON object, nothing else.", rich_help_panel=_OUTPUT
    ),
]
DrawTree = Annotated[
    bool,
    typer.Option("--tree", help="Draw the tree while it grows.", rich_help_panel=_OUTPUT),
]
Stream = Annotated[
    bool, typer.Option(help="Follow the search while it runs.", rich_help_panel=_OUTPUT)
]
DEFAULT_URL = "http://127.0.0.1:8000"

Constraints = Annotated[
    list[str] | None,
    typer.Option("--constraint", help=_CONSTRAINT_HELP, metavar="ID[=JSON]"),
]
SearchMode = Annotated[
    Mode, typer.Option(help="How to look for the answer.", rich_help_panel=_SEARCH)
]
N = Annotated[int | None, _search("Responses of best_of_n.", _DEFAULT.n)]
Branch = Annotated[int | None, _search("Children per expanded node.", _DEFAULT.branch)]
Beam = Annotated[int | None, _search("Nodes of a level that bfs expands.", _DEFAULT.beam)]
Depth = Annotated[int | None, _search("Levels below the prompt.", _DEFAULT.depth)]
Votes = Annotated[int | None, _search("Votes per judgment.", _DEFAULT.votes)]
Gate = Annotated[float | None, _search("Accepted means a value above this.", _DEFAULT.gate)]
EarlyStop = Annotated[
    bool | None,
    typer.Option(
        "--early-stop/--no-early-stop",
        help="End at the first accepted node, and votes once they are decided.",
        rich_help_panel=_SEARCH,
    ),
]
FirstLook = Annotated[
    bool | None,
    typer.Option(
        "--first-look/--no-first-look",
        help="Cast no votes where a program rejects or the verdict is clear at once.",
        rich_help_panel=_SEARCH,
    ),
]
MaxNodes = Annotated[int | None, _option("Most nodes of the search.", _BUDGET)]
MaxTokens = Annotated[int | None, _option("Most tokens generated in the whole search.", _BUDGET)]
Deadline = Annotated[
    int | None,
    typer.Option(
        help="Answer within this time, in milliseconds.", metavar="MS", rich_help_panel=_BUDGET
    ),
]
Temperature = Annotated[float | None, _option("Randomness of responses, 0 to 2.", _SAMPLING)]
TopP = Annotated[float | None, _option("Share of likely tokens to draw from.", _SAMPLING)]
Length = Annotated[int | None, _option("Most tokens of one response.", _SAMPLING)]
Seed = Annotated[int | None, _option("Makes the result reproducible.", _SAMPLING)]
Stop = Annotated[list[str] | None, _option("Text that ends a response. Repeatable.", _SAMPLING)]
ResponseText = Annotated[str | None, typer.Option("--response", help="The response to judge.")]
ResponseFile = Annotated[
    Path | None,
    typer.Option(help="File with the response to judge; `-` is standard input."),
]
PromptText = Annotated[
    str | None,
    typer.Argument(metavar="PROMPT", help="The instruction; `-` reads it from standard input."),
]


@dataclass(frozen=True, slots=True)
class Search:
    """The shape of a search; None is the server's default."""

    n: N = None
    branch: Branch = None
    beam: Beam = None
    depth: Depth = None
    votes: Votes = None
    gate: Gate = None
    early_stop: EarlyStop = None
    first_look: FirstLook = None
