"""The options of `spar eval`; those of a run and its server are shared with `experiments`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from app.cli import options
from app.domain.search import Mode

DEFAULT_LENGTH = 512
_ROWS, _RUN, _OUTPUT = "Rows", "RunOptions", "Output and server"


def _address(url: str | None) -> str | None:
    return None if url is None else options.web_address(url)


def _option(text: str, panel: str, *names: str, **more: Any) -> Any:
    return typer.Option(*names, help=text, rich_help_panel=panel, **more)


DataFile = Annotated[
    Path | None, _option("File with the rows, one JSON object a line.", _ROWS, metavar="FILE")
]
WithConstraints = Annotated[
    bool,
    _option(
        "Send the rows' checkable constraints along. The search then sees the very checks that"
        " score its answer, so the metrics no longer say how well the model judges.",
        _ROWS,
        "--with-constraints",
    ),
]
ModeOption = Annotated[Mode, _option("How to look for the answers.", "Search")]
Seed = Annotated[int, _option("Makes the run reproducible.", _RUN, min=0)]
AtOnce = Annotated[int, _option("Requests in flight at most.", _RUN, min=1, max=256)]
Url = Annotated[
    str | None,
    _option(
        "The server. Where none is named and none answers, one is started for the run.",
        _OUTPUT,
        envvar="SPAR_URL",
        callback=_address,
    ),
]
DataDir = Annotated[Path | None, _option("Folder of the database (SPAR_DATA).", _OUTPUT)]
Json = Annotated[bool, _option("Print the report as JSON.", _OUTPUT, "--json")]
RunName = Annotated[str, typer.Argument(metavar="RUN", help="Id or label of a run.")]


@dataclass(frozen=True, slots=True)
class Rows:
    """What is measured on: a file, or a data set on a hub."""

    data: DataFile = None
    hub: Annotated[
        str | None, _option("Data set on a model hub, instead of a file.", _ROWS, metavar="NAME")
    ] = None
    hub_config: Annotated[str | None, _option("Configuration of the hub's data set.", _ROWS)] = None
    split: Annotated[str | None, _option("Split of the hub's data set.", _ROWS)] = None
    limit: Annotated[int | None, _option("Only the first so many rows.", _ROWS, min=1)] = None


@dataclass(frozen=True, slots=True)
class Writing:
    """What an answer may take, and how it is drawn; None is the server's default."""

    max_nodes: options.MaxNodes = None
    max_tokens: options.MaxTokens = None
    temperature: options.Temperature = None
    top_p: options.TopP = None
    length: Annotated[int, _option("Most tokens of one response.", "Sampling", min=1)] = (
        DEFAULT_LENGTH
    )


@dataclass(frozen=True, slots=True)
class RunOptions:
    """A run itself, whatever it measures."""

    checkpoint: Annotated[
        list[str] | None,
        _option(
            "Version to measure, such as actor@3; once for each role. Else what is served.",
            _RUN,
            metavar="ROLE@N",
        ),
    ] = None
    seed: Seed = 0
    name: Annotated[str | None, _option("A label to find the run by.", _RUN, metavar="LABEL")] = (
        None
    )
    at_once: AtOnce = 32
    resume: Annotated[
        bool,
        _option("Go on with an unfinished run of the same, if there is one.", _RUN, "--resume"),
    ] = False


@dataclass(frozen=True, slots=True)
class Output:
    """How a report is shown."""

    markdown: Annotated[
        Path | None, _option("Also write the report to a Markdown file.", _OUTPUT, metavar="FILE")
    ] = None
    as_json: Json = False


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """Which server is asked, and which database keeps what it says."""

    url: Url = None
    data_dir: DataDir = None
