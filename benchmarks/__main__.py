"""`python -m benchmarks serve`: measure, print tables, write a JSON file."""

import asyncio
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from app.errors import SparError
from app.models import resolve_model
from app.settings import Settings
from benchmarks.bound import Bound
from benchmarks.context import Context, Section
from benchmarks.early_stop import EarlyStop
from benchmarks.over_http import OverHttp
from benchmarks.progress import progress_bar
from benchmarks.report import Row, print_table, write_json

console = Console()
cli = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
DEFAULT_JSON = Path(__file__).parent / "out" / "serve.json"


class Part(StrEnum):
    """The sections of the benchmark."""

    HTTP = "http"
    BOUND = "bound"
    EARLY_STOP = "early_stop"


SECTIONS: dict[Part, tuple[str, Section]] = {
    Part.HTTP: (
        "Greedy answers over HTTP, ours / vllm serve (latency: ours - vllm serve)",
        OverHttp(),
    ),
    Part.BOUND: (
        "A forced breadth-first search, and the same work sent straight to the engine",
        Bound(),
    ),
    Part.EARLY_STOP: ("Breadth-first search with and without early stop", EarlyStop()),
}


@cli.callback()
def benchmarks() -> None:
    """Measure the system; ratios of one run on one machine are what counts."""


@cli.command()
def serve(
    model: Annotated[str | None, typer.Option(help="Model folder or hub name.")] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Alternated rounds per comparison.")] = 3,
    only: Annotated[list[Part] | None, typer.Option(help="Measure only this section.")] = None,
    at_once: Annotated[list[int] | None, typer.Option(help="Measure only this load.")] = None,
    quick: Annotated[bool, typer.Option(help="Short texts, one round: does it work?")] = False,
    json: Annotated[Path, typer.Option(help="Where to write the figures.")] = DEFAULT_JSON,
) -> None:
    """Measure serving; every setting is read from the environment, as by the server."""
    try:
        folder = resolve_model(model, lambda step, _share: console.print(step))
        asyncio.run(
            _measure(folder, 1 if quick else rounds, only or list(Part), at_once or [], quick, json)
        )
    except SparError as error:
        console.print(f"error: {error.message}", style="red", markup=False)
        raise typer.Exit(1) from error


async def _measure(
    model: str, rounds: int, parts: list[Part], at_once: list[int], quick: bool, json: Path
) -> None:
    settings = Settings()
    found: dict[str, list[Row]] = {}
    for part in parts:
        title, section = SECTIONS[part]
        plan = Context(settings, model, rounds, quick, at_once, lambda _label, _tokens: None)
        with progress_bar(console, section.expected_tokens(plan)) as advance:
            context = Context(settings, model, rounds, quick, at_once, advance)
            found[part] = await section.run(context)
        print_table(console, title, found[part])
        conditions = {"model": Path(model).name, "rounds": rounds, "quick": quick}
        engine = settings.model_dump(mode="json", exclude={"data", "database_url"})
        write_json(json, {**conditions, "settings": engine}, found)
    console.print(f"Figures: {json}", markup=False)


if __name__ == "__main__":
    cli()
