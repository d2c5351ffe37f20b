"""The options of `spar eval`; those of a run and its server are shared with `experiments`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from app.cli import options
from app.domain.search import Mode

DEFAULT_LENGTH = 512
_ROWS, _RUN, _OUTPUT = "Rows", "Run", "Output and server"


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
        "Send the rows' constraints with the request. The search then uses the same checks that"
        " score its answer, so the metrics do not measure the judge.",
        _ROWS,
        "--with-constraints",
    ),
]
ModeOption = Annotated[Mode, _option("Search mode of the answers.", "Search")]
Seed = Annotated[int, _option("Seed; makes the run reproducible.", _RUN, min=0)]
AtOnce = Annotated[int, _option("Requests in flight at most.", _RUN, min=1, max=256)]
Url = Annotated[
    str | None,
    _option(
        "URL of the server, found like that of every command. Where none is named and none answers,"
        " one is started for the run.",
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
    """The rows of the benchmark: a file, or a data set on a hub."""

    data: DataFile = None
    hub: Annotated[
        str | None, _option("Data set on a model hub, instead of a file.", _ROWS, metavar="NAME")
    ] = None
    hub_config: Annotated[str | None, _option("Configuration of the hub's data set.", _ROWS)] = None
    split: Annotated[str | None, _option("Split of the hub's data set.", _ROWS)] = None
    limit: Annotated[int | None, _option("Use only the first rows.", _ROWS, min=1)] = None


@dataclass(frozen=True, slots=True)
class Writing:
    """Budget and sampling of an answer; None is the server's default."""

    max_nodes: options.MaxNodes = None
    max_tokens: options.MaxTokens = None
    temperature: options.Temperature = None
    top_p: options.TopP = None
    length: Annotated[int, _option("Most tokens of one response.", "Sampling", min=1)] = (
        DEFAULT_LENGTH
    )


@dataclass(frozen=True, slots=True)
class RunOptions:
    """The options of every run."""

    checkpoint: Annotated[
        list[str] | None,
        _option(
            "Version to measure, such as actor@3; once for each role. Default: what is served.",
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
        _option("Resume an unfinished run of the same plan, if there is one.", _RUN, "--resume"),
    ] = False


@dataclass(frozen=True, slots=True)
class Output:
    """Output of a report."""

    markdown: Annotated[
        Path | None, _option("Also write the report to a Markdown file.", _OUTPUT, metavar="FILE")
    ] = None
    as_json: Json = False


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """The server to evaluate, and the database of the results."""

    url: Url = None
    data_dir: DataDir = None
