"""The options that commands share, groups with a default command, and reading their values.

A search option that is left out takes the server's default, which the help shows.
"""

import json
import sys
from collections.abc import Callable
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from functools import wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar
from urllib.parse import urlsplit

import typer
from typer.core import TyperGroup

from app.domain.search import Mode, SearchOptions

if TYPE_CHECKING:
    from pydantic import BaseModel

Command = Callable[..., None]


def bundled(**defaults: Any) -> Callable[[Command], Command]:
    """Replace the parameters of a command that are dataclasses by one option for each field.

    The options take the place of the parameter; the command is called with the dataclass.

    Args:
        defaults: Defaults that replace those of the dataclass.

    Raises:
        TypeError: No dataclass has a field of that name.
    """

    def decorate(command: Command) -> Command:
        bundles: dict[str, Any] = {}
        options: list[Parameter] = []
        for parameter in signature(command, eval_str=True).parameters.values():
            if is_dataclass(parameter.annotation):
                bundles[parameter.name] = parameter.annotation
                options += [_option(one, defaults) for one in fields(parameter.annotation)]
            else:
                options.append(parameter.replace(kind=Parameter.KEYWORD_ONLY))
        if unknown := defaults.keys() - {one.name for one in options}:
            raise TypeError(f"no option is called {', '.join(sorted(unknown))}")

        @wraps(command)
        def taking(**values: Any) -> None:
            for name, bundle in bundles.items():
                given = {one.name: values.pop(one.name) for one in fields(bundle)}
                values[name] = bundle(**given)
            command(**values)

        # Typer reads both, and must see the options instead of the bundles.
        taking.__signature__ = Signature(options)  # type: ignore[attr-defined]
        taking.__annotations__ = {one.name: one.annotation for one in options}
        return taking

    return decorate


def _option(field: "Field[Any]", defaults: dict[str, Any]) -> Parameter:
    default = defaults.get(field.name, field.default)
    return Parameter(
        field.name,
        Parameter.KEYWORD_ONLY,
        default=Parameter.empty if default is MISSING else default,
        annotation=field.type,
    )


_DEFAULT = SearchOptions()
_SEARCH, _BUDGET, _SAMPLING, _OUTPUT = "Search", "Budget", "Sampling", "Output and server"
_CONSTRAINT_HELP = (
    "What a program checks about the answer: an id, or ID=JSON with its arguments, for "
    'example \'length_constraints:number_words={"relation": "at most", "num_words": 50}\'. '
    "Repeatable."
)


def with_default(command: str) -> type[TyperGroup]:
    """A group that runs `command` when none is named: `spar prompts` is `spar prompts count`."""

    class Group(TyperGroup):
        def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
            """Insert the default command where no command is named."""
            named = args and (args[0] in ("-h", "--help") or not args[0].startswith("-"))
            # Shell completion has no command yet, and offers them all.
            if not named and not ctx.resilient_parsing:
                args = [command, *args]
            return super().parse_args(ctx, args)

    return Group


def find_server(ctx: typer.Context, url: str) -> str:
    """The URL given by `--url` or SPAR_URL, else that of the configured or running server.

    Raises:
        typer.BadParameter: The given URL is not one.
        ConfigurationError: A setting that is needed to find the server is invalid.
    """
    if url or ctx.resilient_parsing:
        return web_address(url)
    from app.config.settings import settings_from
    from app.serving.server_file import server_address

    return server_address(settings_from())


def web_address(url: str) -> str:
    """The URL as given.

    Raises:
        typer.BadParameter: It is not an HTTP URL.
    """
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise typer.BadParameter(f"{url} is not an address; write it like http://127.0.0.1:8000")
    return url


def option(panel: str, text: str, *names: str, **more: Any) -> Any:
    """An option with its help text, in a panel of the help."""
    return typer.Option(*names, help=text, rich_help_panel=panel, **more)


def _search(text: str, default: float) -> Any:
    return option(_SEARCH, text, show_default=str(default))


Url = Annotated[
    str,
    option(
        _OUTPUT,
        "URL of the server. Default: SPAR_HOST and SPAR_PORT, else the server that was started"
        " last in the data folder (SPAR_DATA), else http://127.0.0.1:8000.",
        envvar="SPAR_URL",
        callback=find_server,
        show_default=False,
    ),
]
Json = Annotated[bool, option(_OUTPUT, "Print the result as JSON, nothing else.", "--json")]
DrawTree = Annotated[bool, option(_OUTPUT, "Draw the tree while it grows.", "--tree")]
Stream = Annotated[bool, option(_OUTPUT, "Follow the search while it runs.")]
Constraints = Annotated[
    list[str] | None,
    typer.Option("--constraint", help=_CONSTRAINT_HELP, metavar="ID[=JSON]"),
]
SearchMode = Annotated[Mode, option(_SEARCH, "Search mode.")]
N = Annotated[int | None, _search("Responses of best_of_n.", _DEFAULT.n)]
Branch = Annotated[int | None, _search("Children per expanded node.", _DEFAULT.branch)]
Beam = Annotated[int | None, _search("Nodes of a level that bfs expands.", _DEFAULT.beam)]
Depth = Annotated[int | None, _search("Levels below the prompt.", _DEFAULT.depth)]
Votes = Annotated[int | None, _search("Votes per judgment.", _DEFAULT.votes)]
AcceptThreshold = Annotated[
    float | None, _search("Accepted means a value above this.", _DEFAULT.accept_threshold)
]
EarlyStop = Annotated[
    bool | None,
    option(
        _SEARCH,
        "End at the first accepted node; stop voting once the verdict is decided.",
        "--early-stop/--no-early-stop",
    ),
]
QuickVerdict = Annotated[
    bool | None,
    option(
        _SEARCH,
        "Cast no votes where a program rejects or P(yes) is clear before any critique.",
        "--quick-verdict/--no-quick-verdict",
    ),
]
MaxNodes = Annotated[int | None, option(_BUDGET, "Most nodes of the search.")]
MaxTokens = Annotated[int | None, option(_BUDGET, "Most tokens generated in the whole search.")]
Deadline = Annotated[
    int | None, option(_BUDGET, "Deadline of the whole search, in milliseconds.", metavar="MS")
]
Temperature = Annotated[float | None, option(_SAMPLING, "Temperature of responses, 0 to 2.")]
TopP = Annotated[float | None, option(_SAMPLING, "Top-p of responses, above 0 and up to 1.")]
Length = Annotated[int | None, option(_SAMPLING, "Most tokens of one response.")]
Seed = Annotated[int | None, option(_SAMPLING, "Seed; makes the result reproducible.")]
Stop = Annotated[list[str] | None, option(_SAMPLING, "Stop sequence of a response. Repeatable.")]
ResponseText = Annotated[str | None, typer.Option("--response", help="The response to judge.")]
ResponseFile = Annotated[
    Path | None, typer.Option(help="File with the response to judge; `-` is standard input.")
]
PromptText = Annotated[
    str | None,
    typer.Argument(metavar="PROMPT", help="The instruction; `-` reads it from standard input."),
]


@dataclass(frozen=True, slots=True)
class Search:
    """Options of a search; None is the server's default."""

    n: N = None
    branch: Branch = None
    beam: Beam = None
    depth: Depth = None
    votes: Votes = None
    accept_threshold: AcceptThreshold = None
    early_stop: EarlyStop = None
    quick_verdict: QuickVerdict = None


_FIELD_OPTIONS = {
    ("prompt",): "PROMPT",
    ("sampling", "max_tokens"): "--length",
    ("budget", "deadline_ms"): "--deadline",
    ("constraints",): "--constraint",
}
_Schema = TypeVar("_Schema", bound="BaseModel")


def given(**options: object) -> dict[str, object]:
    """The options that were given: whatever is not None."""
    return {name: value for name, value in options.items() if value is not None}


def checked(schema: type[_Schema], body: dict[str, Any]) -> _Schema:
    """A valid request.

    Raises:
        typer.BadParameter: A value is invalid; the error names its option.
    """
    from pydantic import ValidationError

    try:
        return schema.model_validate(body)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        message = first["msg"].removeprefix("Value error, ")
        if first["type"] == "string_unicode":
            message = "the text is not UTF-8"
        raise typer.BadParameter(message, param_hint=_option_of(first["loc"])) from error


def parse_constraints(texts: list[str] | None) -> list[dict[str, Any]]:
    """`ID` or `ID=JSON` to the request's form.

    Raises:
        typer.BadParameter: The arguments are not a JSON object.
    """
    return [_parse_constraint(text) for text in texts or []]


def read_prompt(argument: str | None) -> str:
    """The prompt: the argument, or standard input where that is `-` or something is piped in."""
    if argument is not None and argument != "-":
        return argument
    if argument is None and sys.stdin.isatty():
        raise typer.BadParameter("give the instruction, or `-` to read it", param_hint="PROMPT")
    return _decode(sys.stdin.buffer.read(), "PROMPT")


def read_response(text: str | None, file: Path | None) -> str:
    """The response to judge, from exactly one of its two options."""
    hint = "--response"
    if (text is None) == (file is None):
        raise typer.BadParameter("give either --response or --response-file", param_hint=hint)
    return text or "" if file is None else read_file(file, "--response-file")


def read_file(file: Path, option: str) -> str:
    """A file's text; `-` is standard input.

    Raises:
        typer.BadParameter: The file cannot be read, or is not UTF-8; the error names the option.
    """
    if file == Path("-"):
        return _decode(sys.stdin.buffer.read(), option)
    try:
        return _decode(file.read_bytes(), option)
    except OSError as error:
        reason = f"cannot read {file}: {error.strerror}"
        raise typer.BadParameter(reason, param_hint=option) from error


def _option_of(location: tuple[int | str, ...]) -> str | None:
    names = tuple(part for part in location if isinstance(part, str))
    if not names:
        return None
    known = _FIELD_OPTIONS.get(names) or _FIELD_OPTIONS.get(names[:1])
    return known or "--" + names[-1].replace("_", "-")


def _parse_constraint(text: str) -> dict[str, Any]:
    name, equals, arguments = text.partition("=")
    try:
        kwargs = json.loads(arguments) if equals else {}
        # Values that JSON cannot carry (NaN, infinities, lone surrogates) fail here.
        json.dumps(kwargs, allow_nan=False, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        message = f"what follows `{name}=` is not JSON: {error}"
        raise typer.BadParameter(message, param_hint="--constraint") from error
    if not isinstance(kwargs, dict):
        message = f'what follows `{name}=` must be a JSON object, like {{"num_words": 50}}'
        raise typer.BadParameter(message, param_hint="--constraint")
    return {"id": name, "kwargs": kwargs}


def _decode(content: bytes, hint: str) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise typer.BadParameter("the text is not UTF-8", param_hint=hint) from error
