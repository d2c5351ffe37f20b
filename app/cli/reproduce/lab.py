"""What every experiment works with: a server, the checkers, a journal and the database."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.cli.bars import counting_bar
from app.cli.console import count, err, say
from app.cli.eval.server import Where, asked_server
from app.constraints.checker import Checker
from app.db.checkpoints import CheckpointRepository
from app.db.session import Database
from app.domain.checkpoint import Role
from app.errors import NotFound
from app.evaluation.data import Data
from app.evaluation.http import Server
from app.evaluation.reproduce.gather import Ask, gather
from app.evaluation.reproduce.journal import Journal, Row
from app.evaluation.reproduce.report import Report
from app.evaluation.reproduce.write import write


@dataclass(frozen=True, slots=True)
class Wanted:
    """What every experiment is told.

    to: folder of the results. limit: only the first so many rows. seed: makes it reproducible.
    """

    name: str
    to: Path
    where: Where
    limit: int | None
    seed: int


@dataclass(frozen=True, slots=True)
class Lab:
    """An experiment's server (asked with so many requests at once), checkers and database."""

    wanted: Wanted
    server: Server
    checker: Checker
    database: Database

    @property
    def where(self) -> Where:
        """The server that was found, for runs of `spar eval`."""
        return Where(self.wanted.where.settings, self.server.url, self.wanted.where.at_once)

    async def versions(self, role: Role, named: Sequence[int] | None) -> list[int]:
        """The named versions, or all that can be served. Raises `NotFound`.

        A server on another machine may have versions that our database does not know.
        """
        async with self.database.session() as session:
            stored = await CheckpointRepository(session).all()
        there = sorted(
            one.version
            for one in stored
            if one.role is role and (one.version == 0 or one.digest is not None)
        )
        for version in named or ():
            if there and version not in there:
                raise NotFound(f"there is no checkpoint {role}@{version}")
        return list(named or there) or [0]

    def journal(self, data: Mapping[str, Any]) -> Journal:
        """The journal of what this plan asks."""
        settings = self.wanted.where.settings
        plan = {**data, "model": settings.model, "seed": self.wanted.seed}
        return Journal(settings.data / "reproduce", self.wanted.name, plan)

    async def gather(self, journal: Journal, data: Data, ask: Ask) -> dict[str, Row]:
        """What was found of each row, with a bar on a terminal."""
        with counting_bar() as bar, _saying_how_to_go_on():
            kept = sum(item.key in journal.rows for item in data.items)
            task = bar.add_task(self.wanted.name, total=len(data.items), completed=kept)
            found = await gather(
                journal,
                data.items,
                ask,
                at_once=self.wanted.where.at_once,
                on_row=lambda: bar.update(task, advance=1),
            )
        if len(found) < len(data.items):
            err().print(f"{count(len(data.items) - len(found), 'row')} could not be asked.")
        return found


@asynccontextmanager
async def laboratory(wanted: Wanted, database: Database) -> AsyncIterator[Lab]:
    """Everything ready; a server of our own where none was named and none answers."""
    settings = wanted.where.settings
    checker = Checker(settings.check_processes, settings.check_seconds)
    async with asked_server(wanted.where) as server:
        try:
            await checker.start()
            yield Lab(wanted, server, checker, database)
        finally:
            await checker.close()


@contextmanager
def _saying_how_to_go_on() -> Iterator[None]:
    try:
        yield
    except asyncio.CancelledError:
        err().print("Interrupted; the same command goes on with it.")
        raise


def finish(report: Report, folder: Path) -> None:
    """Write the report, and say where. Raises `ConfigurationError`."""
    for file in write(report, folder):
        say(f"wrote {file}")
