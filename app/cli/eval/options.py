"""The options of `spar eval`; those of a run and its server are shared with `experiments`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from app.cli import options
from app.cli.options import option
from app.domain.search import Mode

DEFAULT_LENGTH = 512
_ROWS, _RUN, _OUTPUT = "Rows", "Run", "Output and server"


def _address(url: str | None) -> str | None:
    return None if url is None else options.web_address(url)


DataFile = Annotated[
    Path | None, option(_ROWS, "File with the rows, one JSON object a line.", metavar="FILE")
]
WithConstraints = Annotated[
    bool,
    option(
        _ROWS,
        "Send the rows' constraints with the request. The search then uses the same checks that"
        " score its answer, so the metrics do not measure the judge.",
        "--with-constraints",
    ),
]
ModeOption = Annotated[Mode, option("Search", "Search mode of the answers.")]
Seed = Annotated[int, option(_RUN, "Seed; makes the run reproducible.", min=0)]
AtOnce = Annotated[int, option(_RUN, "Requests in flight at most.", min=1, max=256)]
Url = Annotated[
    str | None,
    option(
        _OUTPUT,
        "URL of the server, found like that of every command. Where none is named and none answers,"
        " one is started for the run.",
        envvar="SPAR_URL",
        callback=_address,
    ),
]
DataDir = Annotated[Path | None, option(_OUTPUT, "Folder of the database (SPAR_DATA).")]
Json = Annotated[bool, option(_OUTPUT, "Print the report as JSON.", "--json")]
RunName = Annotated[str, typer.Argument(metavar="RUN", help="Id or label of a run.")]


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of the benchmark: a file, or a data set on a hub."""

    data: DataFile = None
    hub: Annotated[
        str | None, option(_ROWS, "Data set on a model hub, instead of a file.", metavar="NAME")
    ] = None
    hub_config: Annotated[str | None, option(_ROWS, "Configuration of the hub's data set.")] = None
    split: Annotated[str | None, option(_ROWS, "Split of the hub's data set.")] = None
    limit: Annotated[int | None, option(_ROWS, "Use only the first rows.", min=1)] = None


@dataclass(frozen=True, slots=True)
class Writing:
    """Budget and sampling of an answer; None is the server's default."""

    max_nodes: options.MaxNodes = None
    max_tokens: options.MaxTokens = None
    temperature: options.Temperature = None
    top_p: options.TopP = None
    length: Annotated[int, option("Sampling", "Most tokens of one response.", min=1)] = (
        DEFAULT_LENGTH
    )


@dataclass(frozen=True, slots=True)
class RunOptions:
    """The options of every run."""

    checkpoint: Annotated[
        list[str] | None,
        option(
            _RUN,
            "Version to measure, such as actor@3; once for each role. Default: what is served.",
            metavar="ROLE@N",
        ),
    ] = None
    seed: Seed = 0
    name: Annotated[str | None, option(_RUN, "A label to find the run by.", metavar="LABEL")] = None
    at_once: AtOnce = 32
    resume: Annotated[
        bool,
        option(_RUN, "Resume an unfinished run of the same plan, if there is one.", "--resume"),
    ] = False


@dataclass(frozen=True, slots=True)
class Output:
    """Output of a report."""

    markdown: Annotated[
        Path | None, option(_OUTPUT, "Also write the report to a Markdown file.", metavar="FILE")
    ] = None
    as_json: Json = False


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """The server to evaluate, and the database of the results."""

    url: Url = None
    data_dir: DataDir = None
