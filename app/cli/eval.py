"""`spar eval`: benchmarks asked of a server, kept row by row, reported and compared."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli import options
from app.domain.checkpoint import Role, parse_served_name
from app.domain.options import Mode, SearchOptions

if TYPE_CHECKING:
    from app.cli.eval_work import Where
    from app.evaluation.report import RunReport
    from app.settings import Settings

evaluations = typer.Typer(
    no_args_is_help=True,
    help="Measure a model on a benchmark; compare two runs.",
)

_ROWS, _RUN = "Rows", "Run"
DEFAULT_LENGTH = 512
_LISTED = 20


def _address(url: str | None) -> str | None:
    return None if url is None else options.web_address(url)


def _option(text: str, panel: str, *names: str, **more: Any) -> Any:
    return typer.Option(*names, help=text, rich_help_panel=panel, **more)


DataFile = Annotated[
    Path | None, _option("File with the rows, one JSON object a line.", _ROWS, metavar="FILE")
]
Hub = Annotated[
    str | None,
    _option("Data set on a model hub, instead of a file.", _ROWS, metavar="NAME"),
]
HubConfig = Annotated[str | None, _option("Configuration of the hub's data set.", _ROWS)]
Split = Annotated[str | None, _option("Split of the hub's data set.", _ROWS)]
Limit = Annotated[int | None, _option("Only the first so many rows.", _ROWS, min=1)]
WithConstraints = Annotated[
    bool,
    _option(
        "Send the rows' checkable constraints along. The search then sees the very checks that"
        " score its answer, so the figures no longer say how well the model judges.",
        _ROWS,
        "--with-constraints",
    ),
]
Checkpoint = Annotated[
    list[str] | None,
    _option(
        "Version to measure, such as actor@3; once for each role. Else what is served.",
        _RUN,
        metavar="ROLE@N",
    ),
]
Seed = Annotated[int, _option("Makes the run reproducible.", _RUN, min=0)]
Name = Annotated[str | None, _option("A label to find the run by.", _RUN, metavar="LABEL")]
AtOnce = Annotated[int, _option("Requests in flight at most.", _RUN, min=1, max=256)]
Resume = Annotated[
    bool, _option("Go on with an unfinished run of the same, if there is one.", _RUN, "--resume")
]
Url = Annotated[
    str | None,
    typer.Option(
        envvar="SPAR_URL",
        callback=_address,
        help="The server. Where none is named and none answers, one is started for the run.",
        rich_help_panel="Output and server",
    ),
]
DataDir = Annotated[
    Path | None,
    typer.Option(help="Folder of the database (SPAR_DATA).", rich_help_panel="Output and server"),
]
Markdown = Annotated[
    Path | None,
    typer.Option(
        help="Also write the report to a Markdown file.",
        metavar="FILE",
        rich_help_panel="Output and server",
    ),
]
Json = Annotated[
    bool,
    typer.Option("--json", help="Print the report as JSON.", rich_help_panel="Output and server"),
]
Rows = Annotated[bool, typer.Option("--rows", help="Show every row as well.")]
RunName = Annotated[str, typer.Argument(metavar="RUN", help="Id or label of a run.")]
ModeOption = Annotated[Mode, _option("How to look for the answers.", "Search")]
Length = Annotated[int, _option("Most tokens of one response.", "Sampling", min=1)]


def _answering(suite: str, title: str) -> Callable[..., None]:
    """The command of a benchmark that asks for answers."""

    def command(  # noqa: PLR0913 - one parameter per option
        *,
        data: DataFile = None,
        hub: Hub = None,
        hub_config: HubConfig = None,
        split: Split = None,
        limit: Limit = None,
        with_constraints: WithConstraints = False,
        mode: ModeOption = Mode.GREEDY,
        n: options.N = None,
        branch: options.Branch = None,
        beam: options.Beam = None,
        depth: options.Depth = None,
        votes: options.Votes = None,
        gate: options.Gate = None,
        early_stop: options.EarlyStop = None,
        first_look: options.FirstLook = None,
        max_nodes: options.MaxNodes = None,
        max_tokens: options.MaxTokens = None,
        temperature: options.Temperature = None,
        top_p: options.TopP = None,
        length: Length = DEFAULT_LENGTH,
        checkpoint: Checkpoint = None,
        seed: Seed = 0,
        name: Name = None,
        at_once: AtOnce = 32,
        resume: Resume = False,
        markdown: Markdown = None,
        as_json: Json = False,
        url: Url = None,
        data_dir: DataDir = None,
    ) -> None:
        from app.cli.eval_work import Wanted
        from app.cli.request import given

        settings = _settings(data_dir)
        search = _search(
            n=n,
            branch=branch,
            beam=beam,
            depth=depth,
            votes=votes,
            gate=gate,
            early_stop=early_stop,
            first_look=first_look,
        )
        budget = given(max_nodes=max_nodes, max_tokens=max_tokens)
        sampling = given(temperature=temperature, top_p=top_p, max_tokens=length)
        wanted = Wanted(
            suite=suite,
            file=_file(data, hub, hub_config, split, settings),
            mode=mode,
            options={"search": search, "budget": budget, "sampling": sampling},
            versions=_versions(checkpoint),
            seed=seed,
            limit=limit,
            with_constraints=with_constraints,
            name=name,
            resume=resume,
        )
        report = _run(_where(settings, url, at_once), wanted)
        _show(report, as_json=as_json, file=markdown)

    command.__doc__ = title
    return command


def _judging(suite: str, title: str) -> Callable[..., None]:
    """The command of a benchmark that has the refiner judge given responses."""

    def command(  # noqa: PLR0913 - one parameter per option
        *,
        data: DataFile = None,
        hub: Hub = None,
        hub_config: HubConfig = None,
        split: Split = None,
        limit: Limit = None,
        votes: options.Votes = None,
        gate: options.Gate = None,
        checkpoint: Checkpoint = None,
        seed: Seed = 0,
        name: Name = None,
        at_once: AtOnce = 32,
        resume: Resume = False,
        markdown: Markdown = None,
        as_json: Json = False,
        url: Url = None,
        data_dir: DataDir = None,
    ) -> None:
        from app.cli.eval_work import Wanted

        settings = _settings(data_dir)
        search = _search(votes=votes, gate=gate)
        asked = {"votes": search["votes"], "gate": search["gate"]}
        wanted = Wanted(
            suite=suite,
            file=_file(data, hub, hub_config, split, settings),
            mode=None,
            options={"search": asked, "budget": {}, "sampling": {}},
            versions=_versions(checkpoint),
            seed=seed,
            limit=limit,
            name=name,
            resume=resume,
        )
        report = _run(_where(settings, url, at_once), wanted)
        _show(report, as_json=as_json, file=markdown)

    command.__doc__ = title
    return command


for _name, _title in {
    "ifeval": "IFEval: instructions that a program can check, strictly and loosely.",
    "ifbench": "IFBench: the same with constraints that models have not been trained on.",
    "followbench": "FollowBench: constraints in levels, by rules where a rule can judge.",
}.items():
    evaluations.command(_name)(_answering(_name, _title))
evaluations.command("llmbar")(
    _judging("llmbar", "LLMBar: which of two responses is better, asked of the refiner.")
)


@evaluations.command("list")
def list_runs(
    limit: Annotated[int, typer.Option(help="How many.", min=1)] = _LISTED,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """List the newest runs."""
    from app.cli.console import out, print_json
    from app.cli.eval_show import draw_list, run_values
    from app.cli.eval_store import newest_runs, within

    runs = within(_settings(data_dir).url, lambda database: newest_runs(database, limit))
    if as_json:
        print_json([run_values(run) for run in runs])
    else:
        out().print(draw_list(runs))


@evaluations.command("show")
def show(
    run: RunName,
    rows: Rows = False,
    markdown: Markdown = None,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Show what a run found."""
    from app.cli.eval_store import read_report, within

    report = within(_settings(data_dir).url, lambda database: read_report(database, run))
    _show(report, as_json=as_json, file=markdown, rows=rows)


@evaluations.command("compare")
def compare(
    first: Annotated[str, typer.Argument(metavar="FIRST", help="Id or label of a run.")],
    second: Annotated[str, typer.Argument(metavar="SECOND", help="The run to compare with it.")],
    metric: Annotated[str | None, typer.Option(help="Only this one; a subset's too.")] = None,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Compare two runs row by row: differences, 95 % intervals, and how likely by chance."""
    from dataclasses import asdict

    from app.cli.console import print_json
    from app.cli.eval_show import show_comparison
    from app.cli.eval_store import compare_stored, within

    found = within(
        _settings(data_dir).url,
        lambda database: compare_stored(database, first, second, metric),
    )
    if as_json:
        print_json(asdict(found))
    else:
        show_comparison(found)


@evaluations.command("resume")
def resume_run(
    run: RunName,
    data: DataFile = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Ask again what could not be answered.")
    ] = False,
    at_once: AtOnce = 32,
    markdown: Markdown = None,
    as_json: Json = False,
    url: Url = None,
    data_dir: DataDir = None,
) -> None:
    """Go on with a run that stopped before its end."""
    from app.cli.eval_store import within
    from app.cli.eval_work import resume

    where = _where(_settings(data_dir), url, at_once)
    report = within(
        where.settings.url,
        lambda database: resume(where, run, database, file=data, retry_failed=retry_failed),
    )
    _show(report, as_json=as_json, file=markdown)


def _settings(data_dir: Path | None) -> "Settings":
    from app.configure import settings_from
    from app.preflight import check_data_folder

    settings = settings_from(data=data_dir)
    check_data_folder(settings.data)
    return settings


def _where(settings: "Settings", url: str | None, at_once: int) -> "Where":
    from app.cli.eval_work import Where

    return Where(settings, url, at_once)


def _search(**given: Any) -> dict[str, Any]:
    """The whole shape of the search, defaults included: the run's record must say what it was."""
    names = ("n", "branch", "beam", "depth", "votes", "gate", "early_stop")
    defaults = SearchOptions()
    shape = {name: getattr(defaults, name) for name in names}
    return shape | {name: value for name, value in given.items() if value is not None}


def _versions(names: list[str] | None) -> Mapping[Role, int]:
    versions: dict[Role, int] = {}
    for name in names or []:
        parsed = parse_served_name(name)
        if parsed is None:
            raise typer.BadParameter(f"{name!r} is not like actor@12", param_hint="--checkpoint")
        if parsed[0] in versions:
            raise typer.BadParameter(
                f"one run measures one {parsed[0]}; make another run for another version",
                param_hint="--checkpoint",
            )
        versions[parsed[0]] = parsed[1]
    return versions


def _file(
    data: Path | None,
    hub: str | None,
    config: str | None,
    split: str | None,
    settings: "Settings",
) -> Path:
    if (data is None) == (hub is None):
        raise typer.BadParameter("give either --data or --hub", param_hint="--data")
    if data is not None:
        return data
    from app.cli.eval_hub import fetch_rows

    assert hub is not None, "one of the two is given"
    return fetch_rows(hub, settings.data / "benchmarks", config=config, split=split)


def _run(where: "Where", wanted: Any) -> "RunReport":
    from app.cli.eval_store import within
    from app.cli.eval_work import evaluate

    return within(where.settings.url, lambda database: evaluate(where, wanted, database))


def _show(report: "RunReport", *, as_json: bool, file: Path | None, rows: bool = False) -> None:
    from app.cli.eval_show import show_report

    show_report(report, as_json=as_json, file=file, rows=rows)
