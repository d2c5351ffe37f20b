"""What a run is to be: from what was asked for to a plan, and to the run that follows it."""

import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from app import __version__
from app.cli.console import err
from app.cli.eval.store import stored_run
from app.db.checkpoints import CheckpointRepository
from app.db.evaluations import EvaluationRepository, NewEvaluation, StoredEvaluation
from app.db.session import Database
from app.domain.checkpoint import Role, Versions, parse_served_name
from app.domain.evaluation import EvaluationPlan
from app.domain.search import Mode
from app.errors import ConfigurationError
from app.evaluation.data import Data
from app.evaluation.http import Server

_OURS = ("http://127.0.0.1:", "http://localhost:", "http://[::1]:")


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


class _Model(BaseModel):
    id: str


class _Models(BaseModel):
    data: list[_Model]


async def plan_of(wanted: Wanted, data: Data, server: Server, database: Database) -> EvaluationPlan:
    """The plan, with the versions that the server serves now where none were named.

    Raises `ConfigurationError` where it does not say which, and what `Server.get` raises.
    """
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
        model=await base_model(server.url, database),
        seed=wanted.seed,
        limit=wanted.limit,
        with_constraints=wanted.with_constraints,
    )


async def base_model(url: str, database: Database) -> str:
    """The base model, as this machine's servers recorded it; of others nobody says it."""
    if not url.startswith(_OURS):
        return f"unknown, at {url}"
    async with database.session() as session:
        base = await CheckpointRepository(session).get(Role.ACTOR, 0)
    return "unknown" if base is None else base.model


async def begun(
    plan: EvaluationPlan, wanted: Wanted, total: int, database: Database
) -> StoredEvaluation:
    """The unfinished run of this plan to go on with, where that is wanted, or a new one."""
    new = NewEvaluation(plan, total, wanted.name, __version__, shlex.join(["spar", *sys.argv[1:]]))
    async with database.session() as session:
        repository = EvaluationRepository(session)
        earlier = await repository.unfinished(plan)
        if earlier is not None and wanted.resume:
            return earlier
        stored = await stored_run(session, await repository.add(new))
    if earlier is not None:
        err().print(
            f"An earlier run of the same is unfinished; `spar eval resume {earlier.id}` goes on"
            " with it. This is a new one."
        )
    return stored
