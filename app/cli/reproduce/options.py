"""The options that experiments share."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from app.cli import options
from app.cli.eval.options import DEFAULT_LENGTH, AtOnce, DataDir, Seed, Url
from app.cli.iterations import Overrides, Preset
from app.domain.options import Mode

To = Annotated[Path, typer.Option(help="Folder of the results.", metavar="FOLDER")]
IFEvalFile = Annotated[
    Path, typer.Option("--data", help="Prompts with constraints, as IFEval has them.")
]
Version = Annotated[
    list[int] | None,
    typer.Option("--version", help="A version to measure; repeatable. Else all there are.", min=0),
]
Length = Annotated[int, typer.Option(help="Most tokens of one response.", min=1)]
WithConstraints = Annotated[
    bool,
    typer.Option(
        "--with-constraints",
        help="Tell the searches the constraints, and so the checks that score them.",
    ),
]


@dataclass(frozen=True, slots=True)
class Trees:
    """The searches that are compared: which there are, and what all of them share."""

    mode: Annotated[
        list[Mode] | None, typer.Option("--mode", help="A way to search; repeatable. Else all.")
    ] = None
    generations: Annotated[
        int,
        typer.Option(
            "--generations",
            help="Most generations of each search: the budget that all share.",
            min=1,
            max=16,
        ),
    ] = 8
    branch: options.Branch = None
    beam: options.Beam = None
    depth: options.Depth = None
    votes: options.Votes = None


@dataclass(frozen=True, slots=True)
class Models:
    """Who is asked, and for how much."""

    actor: Annotated[int, typer.Option(help="Version of the actor.", min=0)] = 0
    refiner: Annotated[int, typer.Option(help="Version of the refiner.", min=0)] = 0
    length: Length = DEFAULT_LENGTH


@dataclass(frozen=True, slots=True)
class Playing:
    """The self-play that is compared: its size, and which variants of it."""

    preset: Preset = "tiny"
    override: Overrides = None
    rounds: Annotated[
        int, typer.Option("--iterations", help="Iterations of each variant.", min=1, max=10)
    ] = 2
    variant: Annotated[
        list[str] | None,
        typer.Option(help='Only this one, such as "no tree search"; repeatable.'),
    ] = None


@dataclass(frozen=True, slots=True)
class Common:
    """What every experiment at a server takes."""

    limit: Annotated[int | None, typer.Option(help="Only the first so many rows.", min=1)] = None
    seed: Seed = 0
    at_once: AtOnce = 32
    url: Url = None
    data_dir: DataDir = None


@dataclass(frozen=True, slots=True)
class CommonAtServer(Common):
    """The same where a server must be running."""

    url: options.Url = options.DEFAULT_URL
