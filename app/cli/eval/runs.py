"""`spar eval SUITE` and `spar eval resume`: run every row on a server and store the results."""

import asyncio
import shlex
import sys
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from app import __version__
from app.cli.console import count, counting_bar, err, say
from app.cli.eval.stored import RowWriter, read_report, stored_run
from app.config.settings import Settings
from app.constraints.checker import Checker
from app.db.checkpoints import CheckpointRepository
from app.db.evaluations import EvaluationRepository, NewEvaluation, StoredEvaluation
from app.db.session import Database
from app.domain.checkpoint import Role, Versions, parse_served_name
from app.domain.evaluation import EvaluatedRow, EvaluationPlan
from app.domain.search import Mode
from app.errors import ConfigurationError, SparError
from app.evaluation.asking import Asker
from app.evaluation.base import Suite
from app.evaluation.data import Data, read_data
from app.evaluation.http import Patience, Server, ServerGone
from app.evaluation.own_server import free_port, own_server
from app.evaluation.report import Findings, RunReport
from app.evaluation.runner import Evaluator, run
from app.evaluation.suites import suite_named
from app.serving.server_file import server_address

PATIENCE = Patience()
_LOCAL = ("http://127.0.0.1:", "http://localhost:", "http://[::1]:")
_SPAR = (
    "from app.evaluation.own_server import end_with_parent; end_with_parent();"
    " from app.cli import main; main()"
)
"""`spar` as a child process that ends with its parent. vLLM's processes do not import it again."""


@dataclass(frozen=True, slots=True)
class ServerTarget:
    """The server to evaluate.

    url: None stands for the one that `spar` finds by itself, else one started for the run.
    at_once: requests in flight at most.
    """

    settings: Settings
    url: str | None = None
    at_once: int = 32


@dataclass(frozen=True, slots=True)
class NewRun:
    """A run to make.

    versions: those named; a role left out is measured in the version that is served now.
    resume: resume an unfinished run of the same plan, if there is one.
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
    """The run stopped before its end; the rows so far are stored."""


@dataclass(frozen=True, slots=True)
class _Active:
    """A run in progress, with its benchmark and its rows.

    again: the command that resumes it.
    """

    stored: StoredEvaluation
    suite: Suite
    data: Data
    database: Database
    again: str


class _Model(BaseModel):
    id: str


class _Models(BaseModel):
    data: list[_Model]


async def evaluate(target: ServerTarget, new: NewRun, database: Database) -> RunReport:
    """Make a run, or resume one, to its end.

    Raises:
        Interrupted: It stopped before its end; the error names the command that resumes it.
        SparError: It could not begin.
    """
    suite = suite_named(new.suite)
    data = read_data(suite, new.file, new.limit)
    async with asked_server(target) as server:
        plan = await _plan_of(new, data, server, database)
        stored = await _begin(plan, new, len(data.items), database)
        again = "the same command" if new.resume else f"`spar eval resume {stored.id}`"
        return await _finish(_Active(stored, suite, data, database, again), server, target)


async def resume(
    target: ServerTarget,
    id_or_name: str,
    database: Database,
    *,
    file: Path | None,
    retry_failed: bool,
) -> RunReport:
    """Resume a run; a finished one is only reported, unless failed rows are retried.

    Raises:
        ConfigurationError: The file or the base model is not the run's.
        Interrupted: It stopped before its end again.
    """
    async with database.session() as session:
        stored = await stored_run(session, id_or_name)
        if retry_failed:
            await EvaluationRepository(session).delete_failed(stored.id)
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
    async with asked_server(target) as server:
        model = await _base_model(server.url, database)
        if model != stored.plan.model:
            raise ConfigurationError(
                f"{stored.id} began with the model {stored.plan.model}, and {server.url} has"
                f" {model}: begin a new run"
            )
        again = f"`spar eval resume {stored.id}`"
        return await _finish(_Active(stored, suite, data, database, again), server, target)


@asynccontextmanager
async def asked_server(target: ServerTarget) -> AsyncIterator[Server]:
    """The ready server; a child process where none was named and none answers.

    Raises:
        ServerGone: The named server does not answer.
        ConfigurationError: The child process does not start.
    """
    url = target.url or server_address(target.settings)
    server = _open(url, target)
    try:
        if await server.answers():
            await server.wait_ready()
            yield server
            return
        if target.url is not None:
            raise ServerGone(f"no server answers at {url}; name another one with --url or SPAR_URL")
    finally:
        await server.close()
    port = free_port()
    command, environment = own_command(target.settings, port)
    err().print(f"No server answers at {url}: starting one on port {port} for this run.")
    url = f"http://127.0.0.1:{port}"
    async with own_server(command, url, environment):
        server = _open(url, target)
        try:
            yield server
        finally:
            await server.close()


def own_command(settings: Settings, port: int) -> tuple[list[str], dict[str, str]]:
    """The command of the child process, and what is added to its environment."""
    command = [sys.executable, "-c", _SPAR, "serve", "--host", "127.0.0.1", "--port", str(port)]
    environment = {
        "SPAR_DATA": str(settings.data.absolute()),
        "SPAR_DATABASE_URL": settings.url,
        "SPAR_WORKER": "false",
    }
    return command, environment


def _open(url: str, target: ServerTarget) -> Server:
    return Server(url, at_once=target.at_once, key=target.settings.api_key, patience=PATIENCE)


async def _plan_of(new: NewRun, data: Data, server: Server, database: Database) -> EvaluationPlan:
    """The plan, with the versions that the server serves now where none were named.

    Raises:
        ConfigurationError: The server does not report its versions.
        SparError: What `Server.get` raises.
    """
    names = (await server.get(_Models, "/v1/models")).data
    served = dict(filter(None, (parse_served_name(model.id) for model in names)))
    versions = {role: new.versions.get(role, served.get(role)) for role in Role}
    actor, refiner = versions[Role.ACTOR], versions[Role.REFINER]
    if actor is None or refiner is None:
        raise ConfigurationError(
            f"{server.url} does not report which versions it serves; name them with --checkpoint"
        )
    return EvaluationPlan(
        suite=new.suite,
        source=str(data.file.absolute()),
        digest=data.digest,
        mode=new.mode,
        options=new.options,
        versions=Versions(actor, refiner),
        model=await _base_model(server.url, database),
        seed=new.seed,
        limit=new.limit,
        with_constraints=new.with_constraints,
    )


async def _base_model(url: str, database: Database) -> str:
    """The base model as a server of this machine recorded it; unknown for other machines."""
    if not url.startswith(_LOCAL):
        return f"unknown, at {url}"
    async with database.session() as session:
        base = await CheckpointRepository(session).get(Role.ACTOR, 0)
    return "unknown" if base is None else base.model


async def _begin(
    plan: EvaluationPlan, new: NewRun, total: int, database: Database
) -> StoredEvaluation:
    """The unfinished run of this plan, if one is to be resumed, or a new one."""
    command = shlex.join(["spar", *sys.argv[1:]])
    async with database.session() as session:
        repository = EvaluationRepository(session)
        earlier = await repository.unfinished(plan)
        if earlier is not None and new.resume:
            return earlier
        added = await repository.add(NewEvaluation(plan, total, new.name, __version__, command))
        stored = await stored_run(session, added)
    if earlier is not None:
        err().print(
            f"An earlier run of the same is unfinished; `spar eval resume {earlier.id}` resumes"
            " it. This is a new one."
        )
    return stored


async def _finish(one: _Active, server: Server, target: ServerTarget) -> RunReport:
    """Evaluate every row that has no result, and summarise.

    Raises:
        Interrupted: An error ended the run.
    """
    async with one.database.session() as session:
        done = {row.key for row in await EvaluationRepository(session).rows(one.stored.id)}
    checker = Checker(target.settings.check_processes, target.settings.check_seconds)
    work = Evaluator(
        suite=one.suite,
        ask=Asker(server, one.stored.plan).ask,
        checker=checker,
        keep=RowWriter(one.database, one.stored.id),
        at_once=target.at_once,
    )
    try:
        await checker.start()
        await _run_with_bar(work, one, done)
        return await _summarise(one, checker)
    except SparError as error:
        raise Interrupted(
            f"{error.message}; the rows so far are stored: {one.again} resumes the run"
        ) from error
    except asyncio.CancelledError:
        err().print(f"Interrupted; {one.again} resumes the run.")
        raise
    finally:
        await checker.close()


async def _run_with_bar(work: Evaluator, one: _Active, done: Collection[str]) -> None:
    stored, total = one.stored, len(one.data.items)
    name = stored.plan.suite
    err().print(f"Run {stored.id}: {name}, {count(total, 'row')}")
    with counting_bar() as bar:
        task = bar.add_task(name, total=total, completed=len(done))
        failed = 0

        def show(row: EvaluatedRow) -> None:
            nonlocal failed
            failed += row.error is not None
            text = name + (f" ({failed} failed)" if failed else "")
            bar.update(task, advance=1, description=text)

        await run(work, one.data.items, done, seconds=stored.seconds, on_row=show)


async def _summarise(one: _Active, checker: Checker) -> RunReport:
    run_id, items = one.stored.id, one.data.items
    async with one.database.session() as session:
        scores = {row.key: row.score for row in await EvaluationRepository(session).rows(run_id)}
    findings = Findings(
        one.suite.metrics(items, [scores[item.key] for item in items]),
        await one.suite.floors(items, checker),
    )
    async with one.database.session() as session:
        await EvaluationRepository(session).finish(run_id, findings.to_values())
    return replace(await read_report(one.database, run_id), findings=findings)
