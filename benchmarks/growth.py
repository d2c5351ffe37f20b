"""Latency of the database: every list and detail query, and writing a search."""

import asyncio
import random
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rich.console import Console
from sqlalchemy import event, select
from sqlalchemy.ext.asyncio import AsyncSession
from ulid import ULID

from app.db.checkpoints import CheckpointRepository
from app.db.evaluations import EvaluationRepository
from app.db.iterations import IterationRepository, SampleRepository, iteration_counts
from app.db.keys import AuditRepository
from app.db.prompts import FeedbackRepository, PromptRepository
from app.db.searches import SearchFilter, SearchRepository
from app.db.session import Database, open_engine
from app.db.tables import IterationRow, SearchRow
from app.db.upgrade import upgrade
from app.domain.checkpoint import Role
from app.domain.iteration import Source
from app.domain.search import Mode, StopReason
from benchmarks.filling import YEAR, Size, fill, generated_search
from benchmarks.measure import Row, Spread, Target

PAGE = 20
MEDIAN_TARGET_MS = Target(50, at_least=False)

Query = Callable[[AsyncSession], Awaitable[object]]
Detail = Callable[[AsyncSession, str], Awaitable[object]]


async def measure(url: str, rounds: int, seed: int = 1) -> list[Row]:
    """Time every list and detail query, and writing one search: milliseconds per transaction."""
    database = Database(url)
    chance = random.Random(seed)
    try:
        ids = await _some_ids(database, chance, rounds)
        rows = []
        iterations = await _some_iterations(database, chance, rounds)
        for name, queries in _queries(chance, ids, iterations).items():
            took = [await _timed(database, query) for query in queries]
            rows.append(Row(name, 1, Spread.of(took), "ms", MEDIAN_TARGET_MS))
        whole = [await _look_through_all(database)]
        return [*rows, Row("all pages of a word in no search, together", 1, Spread.of(whole), "ms")]
    finally:
        await database.close()


async def plans(url: str) -> dict[str, list[str]]:
    """The database's query plan of the list of searches under each filter."""
    engine = open_engine(url)
    asked = "EXPLAIN QUERY PLAN" if engine.dialect.name == "sqlite" else "EXPLAIN"

    @event.listens_for(engine.sync_engine, "before_cursor_execute", retval=True)
    def explain(
        _: object, __: object, statement: str, values: object, *___: object
    ) -> tuple[str, object]:
        return f"{asked} {statement}", values

    found = {}
    try:
        for name, wanted in FILTERS.items():
            query = wanted.narrow(select(SearchRow.id)).order_by(SearchRow.id.desc()).limit(PAGE)
            async with engine.connect() as connection:
                lines = await connection.execute(query)
                found[name] = [str(line[-1]) for line in lines.cursor.fetchall()]
    finally:
        await engine.dispose()
    return found


FILTERS = {
    "any": SearchFilter(),
    "of a common mode": SearchFilter(mode=Mode.BFS),
    "of a mode never used": SearchFilter(mode=Mode.DFS),
    "accepted": SearchFilter(accepted=True),
    "that met their deadline (none)": SearchFilter(stop_reason=StopReason.DEADLINE),
    "of an actor that never served": SearchFilter(actor=99),
    "of a refiner that never served": SearchFilter(refiner=99),
    "of a mode that is never judged, accepted": SearchFilter(mode=Mode.GREEDY, accepted=True),
    "with a common word": SearchFilter(text="river"),
    "with a word in no search": SearchFilter(text="zeppelin"),
}


async def _iteration(session: AsyncSession, iteration: str) -> None:
    """The queries of an iteration's page."""
    await IterationRepository(session).get(iteration)
    await CheckpointRepository(session).of_iteration(iteration)
    await SampleRepository(session, iteration).count_samples()


DETAILS: dict[str, Detail] = {
    "an iteration with its checkpoints": _iteration,
    "samples of an iteration": lambda session, one: SampleRepository(session, one).samples(
        Role.ACTOR, limit=PAGE
    ),
    "steps of a training": lambda session, one: SampleRepository(session, one).steps(Role.ACTOR),
}
"""The queries about one iteration."""


def _queries(
    chance: random.Random, ids: Sequence[str], iterations: Sequence[str]
) -> dict[str, list[Query]]:
    """Each query of the lists and details as often as there are ids."""

    def page(wanted: SearchFilter, cursor: str | None = None) -> Query:
        return lambda session: SearchRepository(session).page(PAGE, cursor, wanted)

    def get(search_id: str) -> Query:
        return lambda session: SearchRepository(session).get(search_id)

    def add(_: str) -> Query:
        result = generated_search(chance, datetime.now(UTC), 10)
        return lambda session: SearchRepository(session).add(result)

    def about(detail: Detail, one: str) -> Query:
        return lambda session: detail(session, one)

    lists: dict[str, Query] = {
        "checkpoints": lambda session: CheckpointRepository(session).all(),
        "serving versions": lambda session: CheckpointRepository(session).serving(),
        "serving history": lambda session: CheckpointRepository(session).history(PAGE),
        "evaluations": lambda session: EvaluationRepository(session).page(PAGE),
        "iterations": lambda session: IterationRepository(session).page(PAGE),
        "next iteration": lambda session: IterationRepository(session).next_to_run(),
        "counts of iterations": iteration_counts,
        "prompts": lambda session: PromptRepository(session).page(PAGE),
        "counts of prompts": lambda session: PromptRepository(session).count(),
        "unused prompts": lambda session: PromptRepository(session).least_used(
            Source.RECORDED, PAGE
        ),
        "better answers": lambda session: FeedbackRepository(session).better_answers("none"),
        "audit log": lambda session: AuditRepository(session).page(PAGE),
        "share of accepted searches in a day": lambda session: SearchRepository(
            session
        ).judged_since(datetime.now(UTC) - timedelta(days=1)),
    }
    return {
        **{f"searches {name}": [page(wanted)] * len(ids) for name, wanted in FILTERS.items()},
        "searches, a page in the middle": [page(SearchFilter(), one) for one in ids],
        "a search with its tree": [get(one) for one in ids],
        **{name: [about(detail, one) for one in iterations] for name, detail in DETAILS.items()},
        **{name: [query] * len(ids) for name, query in lists.items()},
        "writing a search of 10 nodes": [add(one) for one in ids],
    }


async def _some_iterations(database: Database, chance: random.Random, count: int) -> list[str]:
    """Ids of iterations, each as likely as another."""
    async with database.session() as session:
        ids = list(await session.scalars(select(IterationRow.id)))
    return chance.choices(ids, k=count)


async def _some_ids(database: Database, chance: random.Random, count: int) -> list[str]:
    """Ids of searches from all over the year."""
    ids = []
    async with database.session() as session:
        for _ in range(count):
            moment = datetime.now(UTC) - YEAR * chance.random()
            page, _ = await SearchRepository(session).page(1, str(ULID.from_datetime(moment)))
            ids += [one.id for one in page]
    return ids


async def _look_through_all(database: Database) -> float:
    """The time to page through a word filter without matches."""
    took, cursor, ended = 0.0, None, False
    while not ended:
        start = time.perf_counter()
        async with database.session() as session:
            wanted = FILTERS["with a word in no search"]
            _, cursor = await SearchRepository(session).page(PAGE, cursor, wanted)
        took += (time.perf_counter() - start) * 1000
        ended = cursor is None
    return took


async def _timed(database: Database, query: Query) -> float:
    start = time.perf_counter()
    async with database.session() as session:
        await query(session)
    return (time.perf_counter() - start) * 1000


async def measure_growth(
    url: str | None, size: Size, rounds: int, console: Console
) -> dict[str, list[Row]]:
    """Query latencies before and after a database is filled, by title; prints the plans.

    Raises:
        ConfigurationError: The database cannot be upgraded.
    """
    with tempfile.TemporaryDirectory() as folder:
        used = url or f"sqlite+aiosqlite:///{Path(folder) / 'spar.db'}"
        await asyncio.to_thread(upgrade, used)
        # A little, so that there is something to find.
        async for _ in fill(used, Size(rounds, 10 * rounds), seed=1):
            pass
        before = await measure(used, rounds)
        made = 0
        async for done in fill(used, size):
            made += done
            console.print(f"{made:,} of {size.searches:,} searches", style="dim")
        for name, lines in (await plans(used)).items():
            console.print(f"searches {name}: {lines[0].strip()}", markup=False, highlight=False)
            for line in lines[1:]:
                console.print(f"  {line.strip()}", markup=False, highlight=False)
        after = await measure(used, rounds)
    title = f"{size.searches:,} searches, {size.nodes:,} nodes"
    return {"Nearly empty": before, title: after}
