"""`python -m benchmarks NAME`: measure, print tables, write a JSON file."""

import asyncio
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from app.config.settings import Settings
from app.errors import ConfigurationError, SparError
from app.model_files.resolve import resolve_model
from benchmarks.adapters import CHOICES, Adapters, Choice, Kernel
from benchmarks.beside import PROMPTS, Beside, Phase
from benchmarks.bound import Bound
from benchmarks.decisions import Decisions
from benchmarks.dtype import Dtypes
from benchmarks.filling import Size
from benchmarks.instructions import read_prompts
from benchmarks.measure import Context, Row, Section, print_table, write_json
from benchmarks.over_http import OverHttp
from benchmarks.queued import Queued
from benchmarks.rivals.sections import PARTS
from benchmarks.rivals.sections import Part as RivalPart
from benchmarks.staged import Staged
from benchmarks.swap import Follow, Swap

console = Console()
cli = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
OUT = Path(__file__).parent / "out"

Model = Annotated[str | None, typer.Option(help="Model folder or hub name.")]
Rounds = Annotated[int, typer.Option(min=1, help="Alternated rounds per comparison.")]
AtOnce = Annotated[list[int] | None, typer.Option(help="Measure only this load.")]
Quick = Annotated[
    bool, typer.Option(help="Short texts and one round, to test the benchmark itself.")
]
Json = Annotated[Path, typer.Option(help="Where to write the figures.")]

Titled = tuple[str, Section]
"""A section and its title."""


class Part(StrEnum):
    """The sections of `serve`."""

    HTTP = "http"
    BOUND = "bound"


SECTIONS: dict[Part, Titled] = {
    Part.HTTP: (
        "Greedy answers over HTTP, ours / vllm serve (latency: ours - vllm serve)",
        OverHttp(),
    ),
    Part.BOUND: (
        "A forced breadth-first search, and the same work sent straight to the engine",
        Bound(),
    ),
}


@cli.callback()
def benchmarks() -> None:
    """Measure the system. Compare only ratios of one run on one machine."""


@cli.command()
def serve(
    model: Model = None,
    rounds: Rounds = 3,
    only: Annotated[list[Part] | None, typer.Option(help="Measure only this section.")] = None,
    at_once: AtOnce = None,
    quick: Quick = False,
    json: Json = OUT / "serve.json",
) -> None:
    """Measure serving; every setting is read from the environment, as by the server."""
    sections = {part.value: SECTIONS[part] for part in only or list(Part)}
    _run(sections, model, rounds, at_once or [], quick, json)


@cli.command()
def adapters(
    model: Model = None,
    rounds: Rounds = 3,
    choice: Annotated[
        list[str] | None,
        typer.Option(metavar="LAYERS:RANK", help="Such as o_proj,down_proj:16. Repeatable."),
    ] = None,
    kernel: Annotated[
        list[Kernel] | None, typer.Option(help="Only this code for adapters on a CPU.")
    ] = None,
    at_once: AtOnce = None,
    quick: Quick = False,
    json: Json = OUT / "adapters.json",
) -> None:
    """Measure the cost of an adapter per token, for choices of layers and rank."""
    try:
        choices = [Choice.parse(text) for text in choice or []] or CHOICES
    except ConfigurationError as error:
        raise typer.BadParameter(error.message, param_hint="--choice") from error
    section = Adapters(choices, kernel or list(Kernel))
    titled = {"adapters": ("Answers with an adapter / of the base model, on one engine", section)}
    _run(titled, model, rounds, at_once or [], quick, json)


@cli.command()
def decisions(
    model: Model = None,
    rounds: Rounds = 1,
    data: Annotated[
        list[Path] | None,
        typer.Option(help="Prompts as JSON lines, as IFEval's; without constraints too."),
    ] = None,
    quick: Quick = False,
    json: Json = OUT / "decisions.json",
) -> None:
    """Measure judging the same responses for less, and calibrate the quick verdict."""
    section = Decisions([prompt for file in data or [] for prompt in read_prompts(file)])
    titled = {"decisions": ("The same responses judged: cheaper ways / every vote", section)}
    _run(titled, model, rounds, [], quick, json, data=[file.name for file in data or []])


@cli.command()
def beside(
    model: Model = None,
    rounds: Rounds = 3,
    phase: Annotated[
        list[Phase] | None, typer.Option(help="Only with an iteration in this phase.")
    ] = None,
    pause: Annotated[float, typer.Option(min=0, help="Seconds between two requests.")] = 0,
    quick: Quick = False,
    json: Json = OUT / "beside.json",
) -> None:
    """Measure the latency of one user's requests while an iteration runs in the background."""
    section = Beside(phase or list(Phase), pause)
    titled = {"beside": ("Latency of a user's requests, with an iteration / without", section)}
    _run(titled, model, rounds, [], quick, json, pause_seconds=pause)


@cli.command()
def swap(
    model: Model = None, rounds: Rounds = 3, quick: Quick = False, json: Json = OUT / "swap.json"
) -> None:
    """Measure how much longer searches take while checkpoints are swapped under them."""
    titled = {"swap": ("Searches of every mode, during swaps / without", Swap())}
    _run(titled, model, rounds, [], quick, json)


@cli.command()
def follow(
    model: Model = None, rounds: Rounds = 3, quick: Quick = False, json: Json = OUT / "follow.json"
) -> None:
    """Measure the delay until two servers of one database serve a promotion."""
    titled = {"follow": ("Ten promotions a round, two servers", Follow())}
    _run(titled, model, rounds, [], quick, json)


@cli.command()
def rivals(
    model: Model = None,
    rounds: Rounds = 3,
    only: Annotated[list[RivalPart] | None, typer.Option(help="Measure only this section.")] = None,
    at_once: AtOnce = None,
    quick: Quick = False,
    json: Json = OUT / "rivals.json",
) -> None:
    """Measure this project, its-hub, optillm and a sequential search on one engine."""
    sections = {part.value: PARTS[part] for part in only or list(RivalPart)}
    _run(sections, model, rounds, at_once or [], quick, json)


@cli.command()
def dtype(
    model: Model = None, rounds: Rounds = 1, quick: Quick = False, json: Json = OUT / "dtype.json"
) -> None:
    """Measure serving and training in bfloat16 and in float32 on this machine."""
    titled = {"dtype": ("The same work in bfloat16 and in float32", Dtypes())}
    _run(titled, model, rounds, [], quick, json)


@cli.command()
def queue(
    model: Model = None,
    searches: Annotated[
        int, typer.Option(min=1, help="Number of searches, all sent at once.")
    ] = 1000,
    json: Json = OUT / "queue.json",
) -> None:
    """Measure a long queue: the last searches against the first, and the server's memory."""
    titled = {"queue": ("Small searches, all sent at once", Queued(searches))}
    _run(titled, model, 1, [], quick=False, json=json, searches=searches)


@cli.command()
def staged(
    model: Model = None,
    rounds: Rounds = 1,
    prompts: Annotated[int, typer.Option(min=1, max=PROMPTS, help="Prompts of an iteration.")] = 24,
    quick: Quick = False,
    json: Json = OUT / "staged.json",
) -> None:
    """Measure the worker's stages, compared with a reference that runs one stage at a time."""
    titled = {"staged": ("Responses, judgments and refinements of an iteration", Staged(prompts))}
    _run(titled, model, rounds, [], quick, json, prompts=prompts)


@cli.command()
def rows(
    searches: Annotated[int, typer.Option(min=1, help="Searches to generate.")] = 50_000,
    nodes: Annotated[int, typer.Option(min=1, help="Nodes of all searches together.")] = 500_000,
    rounds: Annotated[int, typer.Option(min=1, help="Times each query runs.")] = 30,
    database_url: Annotated[
        str | None, typer.Option(help="An empty database; none means a SQLite file, removed later.")
    ] = None,
    json: Json = OUT / "rows.json",
) -> None:
    """Measure lists, details and writing while the database is empty and when it is full."""
    from benchmarks.growth import measure_growth

    sections = asyncio.run(measure_growth(database_url, Size(searches, nodes), rounds, console))
    for title, section in sections.items():
        print_table(console, title, section)
    write_json(json, {"searches": searches, "nodes": nodes, "rounds": rounds}, sections)


@cli.command()
def overload(
    url: Annotated[
        str | None, typer.Option(help="A running, idle server; without it, one is started.")
    ] = None,
    model: Model = None,
    seconds: Annotated[
        float, typer.Option(min=1, help="Duration of the overload in seconds.")
    ] = 120,
    factor: Annotated[
        float, typer.Option(min=1, help="Offered rate as a multiple of the sustainable rate.")
    ] = 10,
    json: Json = OUT / "overload.json",
) -> None:
    """Measure a server at ten times its sustainable rate, with the server's own settings."""
    from benchmarks.overload import measure_overload

    try:
        rows = asyncio.run(measure_overload(url, model, seconds, factor))
    except SparError as error:
        console.print(f"error: {error.message}", style="red", markup=False)
        raise typer.Exit(1) from error
    print_table(console, "Overload", rows)
    write_json(json, {"seconds": seconds, "factor": factor}, {"overload": rows})
    console.print(f"Figures: {json}", markup=False)


def _run(
    sections: Mapping[str, Titled],
    model: str | None,
    rounds: int,
    at_once: list[int],
    quick: bool,
    json: Path,
    **conditions: object,
) -> None:
    """Measure the sections; user errors are printed without a traceback."""
    rounds = 1 if quick else rounds
    try:
        folder = resolve_model(model, lambda step, _share: console.print(step))
        context = Context(Settings(), folder, rounds, quick, at_once, _say)
        conditions |= {
            "model": Path(folder).name,
            "rounds": rounds,
            "quick": quick,
            "settings": context.settings.model_dump(mode="json", exclude={"data", "database_url"}),
        }
        asyncio.run(_measure(context, sections, json, conditions))
    except SparError as error:
        console.print(f"error: {error.message}", style="red", markup=False)
        raise typer.Exit(1) from error


def _say(label: str) -> None:
    console.print(label, style="dim", markup=False)


async def _measure(
    context: Context, sections: Mapping[str, Titled], json: Path, conditions: Mapping[str, object]
) -> None:
    found: dict[str, list[Row]] = {}
    for name, (title, section) in sections.items():
        found[name] = await section.run(context)
        print_table(console, title, found[name])
        write_json(json, conditions, found)
    console.print(f"Figures: {json}", markup=False)


if __name__ == "__main__":
    cli()
