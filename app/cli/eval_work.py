"""What `spar eval SUITE` and `spar eval resume` do once their arguments are read."""

import asyncio
import shlex
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from app import __version__
from app.cli.console import count, err, say
from app.cli.eval_store import Keeper, read_report, stored_run
from app.cli.options import DEFAULT_URL
from app.constraints.checker import Checker
from app.db.checkpoints import CheckpointRepository
from app.db.evaluations import EvaluationRepository, NewEvaluation, StoredEvaluation
from app.db.session import Database
from app.domain.checkpoint import Role, Versions, parse_served_name
from app.domain.evaluation import EvaluatedRow, EvaluationPlan
from app.domain.options import Mode
from app.errors import ConfigurationError, SparError
from app.evaluation.asking import Asker
from app.evaluation.base import Item, Suite
from app.evaluation.http import Patience, Server, ServerGone
from app.evaluation.own_server import free_port, own_server
from app.evaluation.report import Findings, RunReport
from app.evaluation.runner import Work, run
from app.evaluation.suites import suite_named
from app.settings import Settings

PATIENCE = Patience()


@dataclass(frozen=True, slots=True)
class Where:
    """Where to run: the server's address (None: the usual one, or one of our own).

    at_once: requests in flight at most.
    """

    settings: Settings
    url: str | None = None
    at_once: int = 32


@dataclass(frozen=True, slots=True)
class Wanted:
    """A run to make. versions: those named; a role left out is what the server serves now.

    resume: go on with an unfinished run of the same, if there is one.
    """

    suite: str
    file: Path
    mode: Mode | None
    options: Mapping[str, Any]
    versions: Mapping[Role, int]
    seed: int
    limit: int | None = None
    with_constraints: bool = False
    name: str | None = None
    resume: bool = False


class Interrupted(SparError):
    """The run stopped before its end; what it has is kept."""


@dataclass(frozen=True, slots=True)
class Data:
    """The rows of a file, and the file's SHA-256."""

    file: Path
    items: list[Item]
    digest: str


def read_data(suite: Suite, file: Path, limit: int | None) -> Data:
    """The first rows of a suite's file. Raises `ConfigurationError`."""
    try:
        content = file.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"cannot read {file}: {error.strerror}") from error
    items = suite.read(file)[:limit]
    if not items:
        raise ConfigurationError(f"{file} has no rows")
    return Data(file, items, sha256(content).hexdigest())


async def evaluate(where: Where, wanted: Wanted, database: Database) -> RunReport:
    """Make a run, or go on with one, to its end.

    Raises `Interrupted` with the command to go on, and before there is a run whatever else.
    """
    suite = suite_named(wanted.suite)
    data = read_data(suite, wanted.file, wanted.limit)
    async with asked_server(where) as server:
        plan = await _plan(wanted, data, server, database)
        stored = await _begun(plan, wanted, len(data.items), database)
        return await _work(stored, suite, data, server, database, where)


async def resume(
    where: Where, id_or_name: str, database: Database, *, file: Path | None, retry_failed: bool
) -> RunReport:
    """Go on with a run; one that has finished is only reported, unless failed rows are retried.

    Raises `ConfigurationError` for a file or a base model that is not the run's.
    """
    async with database.session() as session:
        stored = await stored_run(session, id_or_name)
        if retry_failed:
            await EvaluationRepository(session).forget_failed(stored.id)
            stored = await stored_run(session, stored.id)
    if stored.finished_at is not None:
        say(f"{stored.id} has finished.")
        return await read_report(database, stored.id)
    suite = suite_named(stored.plan.suite)
    data = read_data(suite, file or Path(stored.plan.source), stored.plan.limit)
    if data.digest != stored.plan.digest:
        raise ConfigurationError(
            f"{data.file} is not the file that {stored.id} began with (SHA-256 {data.digest[:12]}…"
            f" instead of {stored.plan.digest[:12]}…): begin a new run"
        )
    async with asked_server(where) as server:
        model = await _model(server.url, database)
        if model != stored.plan.model:
            raise ConfigurationError(
                f"{stored.id} began with the model {stored.plan.model}, and {server.url} has"
                f" {model}: begin a new run"
            )
        return await _work(stored, suite, data, server, database, where)


@asynccontextmanager
async def asked_server(where: Where) -> AsyncIterator[Server]:
    """The server to ask, ready; one of our own where none was named and none answers."""
    url = where.url or DEFAULT_URL
    server = _open(url, where)
    try:
        if await server.answers():
            await server.wait_ready()
            yield server
            return
        if where.url is not None:
            raise ServerGone(f"no server answers at {url}")
    finally:
        await server.close()
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command, environment = own_command(where.settings, port)
    err().print(f"No server answers at {DEFAULT_URL}: starting one on port {port} for this run.")
    async with own_server(command, url, environment):
        server = _open(url, where)
        try:
            yield server
        finally:
            await server.close()


def own_command(settings: Settings, port: int) -> tuple[list[str], dict[str, str]]:
    """The program of our own server, and what its environment has besides ours."""
    command = [sys.executable, "-m", "app.cli.eval_child", "serve", "--host", "127.0.0.1"]
    command += ["--port", str(port)]
    environment = {
        "SPAR_DATA": str(settings.data.absolute()),
        "SPAR_DATABASE_URL": settings.url,
        "SPAR_WORKER": "false",
    }
    return command, environment


def _open(url: str, where: Where) -> Server:
    return Server(url, at_once=where.at_once, key=where.settings.api_key, patience=PATIENCE)


class _Model(BaseModel):
    id: str


class _Models(BaseModel):
    data: list[_Model]


async def _plan(wanted: Wanted, data: Data, server: Server, database: Database) -> EvaluationPlan:
    names = (await server.get(_Models, "/v1/models")).data
    served = dict(filter(None, (parse_served_name(model.id) for model in names)))
    versions = {role: wanted.versions.get(role, served.get(role)) for role in Role}
    actor, refiner = versions[Role.ACTOR], versions[Role.REFINER]
    if actor is None or refiner is None:
        raise ConfigurationError(
            f"{server.url} does not say which versions it serves; name them with --checkpoint"
        )
    return EvaluationPlan(
        suite=wanted.suite,
        source=str(data.file.absolute()),
        digest=data.digest,
        mode=wanted.mode,
        options=wanted.options,
        versions=Versions(actor, refiner),
        model=await _model(server.url, database),
        seed=wanted.seed,
        limit=wanted.limit,
        with_constraints=wanted.with_constraints,
    )


async def _model(url: str, database: Database) -> str:
    """The base model, as this machine's servers recorded it; of others nobody says it."""
    if not url.startswith(("http://127.0.0.1:", "http://localhost:", "http://[::1]:")):
        return f"unknown, at {url}"
    async with database.session() as session:
        base = await CheckpointRepository(session).get(Role.ACTOR, 0)
    return "unknown" if base is None else base.model


async def _begun(
    plan: EvaluationPlan, wanted: Wanted, total: int, database: Database
) -> StoredEvaluation:
    """The unfinished run to go on with, or a new one."""
    new = NewEvaluation(plan, total, wanted.name, __version__, shlex.join(["spar", *sys.argv[1:]]))
    async with database.session() as session:
        repository = EvaluationRepository(session)
        earlier = await repository.unfinished(plan)
        if earlier is not None and wanted.resume:
            return earlier
        begun = await stored_run(session, await repository.add(new))
    if earlier is not None:
        err().print(
            f"An earlier run of the same is unfinished; `spar eval resume {earlier.id}` goes on"
            " with it. This is a new one."
        )
    return begun


async def _work(
    stored: StoredEvaluation,
    suite: Suite,
    data: Data,
    server: Server,
    database: Database,
    where: Where,
) -> RunReport:
    """Give every row its result, and sum up. Raises `Interrupted`."""
    async with database.session() as session:
        done = {row.key for row in await EvaluationRepository(session).rows(stored.id)}
    checker = Checker(where.settings.check_processes, where.settings.check_seconds)
    work = Work(
        suite=suite,
        ask=Asker(server, stored.plan).ask,
        checker=checker,
        keep=Keeper(database, stored.id),
        at_once=where.at_once,
    )
    try:
        await checker.start()
        await _run_with_bar(work, stored, data, done)
        return await _summed_up(stored, suite, data, checker, database)
    except SparError as error:
        raise Interrupted(
            f"{error.message}; the rows so far are kept: `spar eval resume {stored.id}` goes on"
        ) from error
    except asyncio.CancelledError:
        err().print(f"Interrupted; `spar eval resume {stored.id}` goes on with it.")
        raise
    finally:
        await checker.close()


async def _run_with_bar(work: Work, stored: StoredEvaluation, data: Data, done: set[str]) -> None:
    console = err()
    console.print(f"Run {stored.id}: {stored.plan.suite}, {count(len(data.items), 'row')}")
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as p:
        bar = p.add_task(stored.plan.suite, total=len(data.items), completed=len(done))
        failed = 0

        def show(row: EvaluatedRow) -> None:
            nonlocal failed
            failed += row.error is not None
            text = stored.plan.suite + (f" ({failed} failed)" if failed else "")
            p.update(bar, advance=1, description=text)

        await run(work, data.items, done, seconds=stored.seconds, on_row=show)


async def _summed_up(
    stored: StoredEvaluation, suite: Suite, data: Data, checker: Checker, database: Database
) -> RunReport:
    async with database.session() as session:
        scores = {row.key: row.score for row in await EvaluationRepository(session).rows(stored.id)}
    findings = Findings(
        suite.figures(data.items, [scores[item.key] for item in data.items]),
        await suite.floors(data.items, checker),
    )
    async with database.session() as session:
        await EvaluationRepository(session).finish(stored.id, findings.to_values())
    report = await read_report(database, stored.id)
    return replace(report, findings=findings)
