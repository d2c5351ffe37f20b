"""From the options of an experiment to what it is told, and from what it found to files."""

from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from app.cli.reproduce.options import Common, Models, Trees
from app.domain.options import Mode

if TYPE_CHECKING:
    from app.cli.reproduce.lab import Lab, Wanted
    from app.evaluation.reproduce.report import Report
    from app.evaluation.reproduce.searching import Asked


def check_names(option: str, given: list[str] | None, known: Iterable[str]) -> None:
    """Raise `typer.BadParameter` for a name that there is not."""
    names = list(known)
    if any(name not in names for name in given or ()):
        raise typer.BadParameter(f"use one of {', '.join(names)}", param_hint=option)


def asked_of(
    trees: Trees, modes: tuple[Mode, ...], models: Models, common: Common, **more: Any
) -> "Asked":
    """What all searches of an experiment have in common. modes: those where none is named."""
    from app.domain.checkpoint import Versions
    from app.evaluation.reproduce.searching import Asked
    from app.evaluation.shape import search_shape

    return Asked(
        versions=Versions(models.actor, models.refiner),
        modes=tuple(dict.fromkeys(trees.mode or modes)),
        search=search_shape(
            *("branch", "beam", "depth", "votes", "gate", "early_stop"),
            branch=trees.branch,
            beam=trees.beam,
            depth=trees.depth,
            votes=trees.votes,
        ),
        sampling={"max_tokens": models.length},
        nodes=trees.generations,
        seed=common.seed,
        **more,
    )


def wanted_of(name: str, to: Path, common: Common) -> "Wanted":
    """What the experiment of this name is told. Raises `ConfigurationError`."""
    from app.cli.eval.server import Where
    from app.cli.place import settings_in
    from app.cli.reproduce.lab import Wanted

    where = Where(settings_in(common.data_dir), common.url, common.at_once)
    return Wanted(name, to, where, common.limit, common.seed)


def make(wanted: "Wanted", experiment: "Callable[[Lab], Awaitable[Report]]") -> None:
    """Make the experiment, and write what it found.

    Raises `SparError`; where the server went away, it says that the same command goes on.
    """
    from app.cli.eval.store import within
    from app.cli.reproduce.lab import finish, laboratory
    from app.db.session import Database
    from app.errors import SparError
    from app.evaluation.http import ServerGone

    async def work(database: Database) -> "Report":
        async with laboratory(wanted, database) as lab:
            return await experiment(lab)

    try:
        report = within(wanted.where.settings.url, work)
    except ServerGone as error:
        raise SparError(
            f"{error.message}; what was found is kept, and the same command goes on with it"
        ) from error
    finish(report, wanted.to)
