"""Fills a database with generated searches and copies of them."""

import random
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import sqlalchemy as sa
from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession
from ulid import ULID

from app.db.evaluations import EvaluationRepository, NewEvaluation
from app.db.iterations import IterationRepository, NewIteration
from app.db.searches import node_rows, search_row, vote_rows
from app.db.session import open_engine
from app.db.tables import (
    AuditRow,
    Base,
    CheckpointRow,
    EvaluatedItemRow,
    FeedbackRow,
    IterationRow,
    NodeRow,
    PromotionRow,
    PromptRow,
    SampleRow,
    SearchRow,
    TrainingStepRow,
    VoteRow,
)
from app.db.types import UtcDateTime
from app.domain.checkpoint import CheckpointKind, CheckpointStatus, PromotionCause, Role, Versions
from app.domain.evaluation import EvaluationPlan
from app.domain.iteration import PRESETS, SampleKind, Source, Status
from app.domain.judgment import Judgment, Vote
from app.domain.prompt import Prompt
from app.domain.search import Budget, Mode, Sampling, SearchOptions, StopReason, Usage
from app.domain.tree import Tree
from app.search.base import SearchRequest, SearchResult

SAMPLES, STEPS = 100, 50
"""Of each role's training in an iteration."""
EVALUATED = 541
"""Rows of an evaluation: as many as IFEval has."""
_TEXT = "Tell me of the river, in ten words, and of the stone beside it. " * 8


async def fill_iterations(session: AsyncSession, count: int) -> list[str]:
    """Add `count` finished iterations that trained and promoted both roles; returns their ids."""
    repository = IterationRepository(session)
    new = NewIteration("micro", PRESETS["micro"])
    ids = [await repository.add(new) for _ in range(count)]
    await session.execute(sa.update(IterationRow).values(status=Status.SUCCEEDED))
    last = await session.scalar(sa.select(sa.func.max(CheckpointRow.version))) or 0
    for version, iteration in enumerate(ids, start=last + 1):
        for role in Role:
            await session.execute(insert(CheckpointRow), [_checkpoint(iteration, role, version)])
            await session.execute(insert(SampleRow), _samples(iteration, role, version - 1))
            await session.execute(insert(TrainingStepRow), _steps(iteration, role))
        await session.execute(insert(PromotionRow), [_promotion(iteration, version)])
    return ids


async def fill_evaluations(session: AsyncSession, count: int) -> list[str]:
    """Add `count` evaluations with all their rows; returns their ids."""
    plan = EvaluationPlan(
        suite="ifeval",
        source="ifeval.jsonl",
        digest="0" * 64,
        mode=None,
        options={},
        versions=Versions(0, 0),
        model="model",
        seed=0,
        limit=None,
        with_constraints=False,
    )
    new = NewEvaluation(plan=plan, total=EVALUATED, name=None, program="spar", command="spar eval")
    repository = EvaluationRepository(session)
    ids = [await repository.add(new) for _ in range(count)]
    for evaluation in ids:
        await session.execute(insert(EvaluatedItemRow), _evaluated(evaluation))
        await repository.finish(evaluation, {"accuracy": 0.5})
    return ids


def _checkpoint(iteration: str, role: Role, version: int) -> dict[str, Any]:
    return {
        "role": role,
        "version": version,
        "status": CheckpointStatus.PROMOTED,
        "kind": CheckpointKind.LORA,
        "model": "model",
        "path": f"checkpoints/{role}/{version}",
        "digest": "0" * 64,
        "parent": version - 1,
        "iteration_id": iteration,
        "evaluation": {"candidate": 0.5, "incumbent": 0.4},
        "error": None,
        "created_at": datetime.now(UTC),
    }


def _samples(iteration: str, role: Role, version: int) -> list[dict[str, Any]]:
    turn = [{"role": "assistant", "content": _TEXT}]
    of = {"iteration_id": iteration, "role": role, "search_id": str(ULID()), "node_id": 1}
    made = {
        "kind": SampleKind.PREFERENCE,
        "content": {"prompt": turn, "chosen": turn, "rejected": turn},
        "actor_version": version,
        "refiner_version": version,
    }
    return [{**of, **made, "position": position} for position in range(SAMPLES)]


def _steps(iteration: str, role: Role) -> list[dict[str, Any]]:
    metrics = {"loss": random.Random(iteration).random(), "rewards/margins": 0.1, "epoch": 0.5}
    of = {"iteration_id": iteration, "role": role, "metrics": metrics}
    return [{**of, "step": step} for step in range(1, STEPS + 1)]


def _promotion(iteration: str, version: int) -> dict[str, Any]:
    return {
        "created_at": datetime.now(UTC),
        "actor_version": version,
        "refiner_version": version,
        "cause": PromotionCause.ITERATION,
        "iteration_id": iteration,
    }


def _evaluated(evaluation: str) -> Sequence[dict[str, Any]]:
    made = {
        "evaluation_id": evaluation,
        "group": "all",
        "outcome": {"response": _TEXT},
        "score": {"strict": [1.0, 1]},
        "error": None,
        "created_at": datetime.now(UTC),
    }
    return [{**made, "key": str(at), "position": at} for at in range(EVALUATED)]


DIFFERENT = 1000
"""Number of generated searches (the others are copies), and of searches per transaction."""
YEAR = timedelta(days=365)
WORDS = ["river", "stone", "cloud", "paper", "amber", "winter", "lantern", "garden", "copper"]
_TREES: Mapping[sa.Table, str] = {
    Base.metadata.tables["searches"]: "id",
    Base.metadata.tables["nodes"]: "search_id",
    Base.metadata.tables["votes"]: "search_id",
}
"""The tables of a search, each with its column of the search's id."""
_COPYING = sa.Table(
    "copying",
    sa.MetaData(),
    sa.Column("original", sa.String),
    sa.Column("id", sa.String),
    sa.Column("created_at", UtcDateTime),
    prefixes=["TEMPORARY"],
)
"""The next searches to copy, with the ids and times of the copies."""


@dataclass(frozen=True, slots=True)
class Size:
    """The number of searches, and of the nodes of all of them."""

    searches: int
    nodes: int

    @property
    def nodes_each(self) -> int:
        """Responses per search, without the root."""
        return max(1, self.nodes // self.searches - 1)


async def fill(
    url: str, size: Size, seed: int = 0, *, different: int = DIFFERENT
) -> AsyncGenerator[int, None]:
    """Add searches of the last year to an upgraded database; yields each batch's size.

    `different` of them are generated; the others are copies with new ids and times, made by SQL for
    speed. Prompts, feedback and audit entries are added in proportion, with at most 1,000
    iterations and 100 evaluations. No other process may use the database at the same time.
    """
    engine = open_engine(url)
    chance = random.Random(seed)
    start = datetime.now(UTC) - YEAR
    moments = [start + YEAR * (number / size.searches) for number in range(size.searches)]
    try:
        async with engine.connect() as connection:
            first, rest = moments[:different], moments[different:]
            originals = await _write_originals(connection, chance, first, size.nodes_each)
            yield len(originals)
            for done in range(0, len(rest), different):
                some = rest[done : done + different]
                await _copy(connection, originals, some)
                yield len(some)
            await connection.execute(sa.delete(_COPYING))
        await _fill_around(engine, originals, size)
        async with engine.begin() as connection:
            await connection.execute(text("ANALYZE"))
    finally:
        await engine.dispose()


def generated_search(chance: random.Random, moment: datetime, nodes: int) -> SearchResult:
    """A judged search of some responses, each with two votes."""
    tree = Tree()
    parent = tree.root
    for _ in range(nodes):
        node = tree.add(tree.reserve(), parent, _text(chance, 60), completion_tokens=60)
        votes = tuple(Vote(chance.random() < 0.3, 0.5, _text(chance, 20)) for _ in range(2))
        node = tree.judge(node.id, Judgment(votes, (), 0.5))
        parent = tree.root if chance.random() < 0.5 else node
    best = tree.best()
    accepted = best is not None and best.accepted
    return SearchResult(
        SearchRequest(
            id=str(ULID.from_datetime(moment)),
            mode=chance.choice([Mode.BFS, Mode.BFS, Mode.BEST_OF_N, Mode.GREEDY]),
            prompt=Prompt.from_text(_text(chance, 30)),
            options=SearchOptions(),
            budget=Budget(),
            sampling=Sampling(temperature=0.9, top_p=0.9, max_tokens=512),
            started=0.0,
        ),
        tree,
        best,
        StopReason.ACCEPTED if accepted else StopReason.EXHAUSTED,
        Usage(nodes=nodes, votes=2 * nodes),
        1000.0,
    )


async def _write_originals(
    connection: AsyncConnection, chance: random.Random, moments: Sequence[datetime], nodes: int
) -> list[str]:
    """Write generated searches and temporary copies of their rows; returns their ids."""
    results = [generated_search(chance, moment, nodes) for moment in moments]
    ids = [result.request.id for result in results]
    rows = [search_row(*one) for one in zip(results, moments, strict=True)]
    await connection.execute(insert(SearchRow), rows)
    for table, of in ((NodeRow, node_rows), (VoteRow, vote_rows)):
        await connection.execute(insert(table), [row for result in results for row in of(result)])
    await connection.run_sync(_COPYING.create)
    await _write_copying(connection, ids, ids, moments)
    for kept, key in _TREES.items():
        wanted = sa.select(kept).where(kept.c[key].in_(sa.select(_COPYING.c.id)))
        await connection.execute(
            text(f"CREATE TEMPORARY TABLE {_original(kept).name} AS {wanted.compile()}")
        )
    await connection.commit()
    return ids


async def _copy(
    connection: AsyncConnection, originals: Sequence[str], moments: Sequence[datetime]
) -> None:
    ids = [str(ULID.from_datetime(moment)) for moment in moments]
    await _write_copying(connection, originals[: len(ids)], ids, moments)
    for table, key in _TREES.items():
        original = _original(table)
        changed = {key: _COPYING.c.id, "created_at": _COPYING.c.created_at}
        columns = [changed.get(column.name, column) for column in original.columns]
        copies = sa.select(*columns).join_from(
            original, _COPYING, _COPYING.c.original == original.c[key]
        )
        names = [column.name for column in table.columns]
        await connection.execute(insert(table).from_select(names, copies))
    await connection.commit()


async def _write_copying(
    connection: AsyncConnection,
    originals: Sequence[str],
    ids: Sequence[str],
    moments: Sequence[datetime],
) -> None:
    await connection.execute(sa.delete(_COPYING))
    rows = [
        {"original": original, "id": new, "created_at": moment}
        for original, new, moment in zip(originals, ids, moments, strict=True)
    ]
    await connection.execute(insert(_COPYING), rows)


def _original(table: sa.Table) -> sa.Table:
    """The temporary table with the original rows of a table."""
    return table.to_metadata(sa.MetaData(), name=f"original_{table.name}")


async def _fill_around(engine: AsyncEngine, searches: Sequence[str], size: Size) -> None:
    """Add prompts, iterations, feedback and audit entries in proportion to the searches."""
    hundredth = max(1, size.searches // 100)
    async with AsyncSession(engine) as session, session.begin():
        *_, used = await fill_iterations(session, min(1000, hundredth))
        await fill_evaluations(session, min(100, hundredth))
    tenth = size.searches // 10
    answered = [searches[number % len(searches)] for number in range(size.searches // 100)]
    async with engine.begin() as connection:
        for table, rows in (
            (PromptRow, [_prompt(number) for number in range(tenth)]),
            (AuditRow, [_action() for _ in range(tenth)]),
            (FeedbackRow, [_feedback(search, used) for search in answered]),
        ):
            if rows:
                await connection.execute(insert(table), rows)


def _prompt(number: int) -> dict[str, Any]:
    instruction = f"Tell me of the {WORDS[number % len(WORDS)]}, in {number} words."
    return {
        **_new(),
        "source": Source.RECORDED,
        "digest": sha256(str(ULID()).encode()).hexdigest(),
        "messages": [{"role": "user", "content": instruction}],
        "prompt": instruction,
        "constraints": [],
        "last_used": None,
    }


def _action() -> dict[str, Any]:
    values = {"who": "alice", "key_id": None, "client": "10.0.0.1", "status": 200}
    return {**_new(), "action": "POST /admin/iterations", **values}


def _feedback(search: str, iteration: str) -> dict[str, Any]:
    said = {"rating": -1, "better": "A river.", "comment": None}
    return {**_new(), "search_id": search, "iteration_id": iteration, **said}


def _new() -> dict[str, Any]:
    return {"id": str(ULID()), "created_at": datetime.now(UTC)}


def _text(chance: random.Random, words: int) -> str:
    return " ".join(chance.choices(WORDS, k=words))
