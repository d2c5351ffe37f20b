"""How the database answers when it is large: made-up searches, and every list and detail timed."""

import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import event, insert, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from ulid import ULID

from app.db.engine import open_engine
from app.db.feedback import FeedbackRepository
from app.db.figures import iteration_counts
from app.db.iterations import IterationRepository
from app.db.prompts import PromptRepository
from app.db.rows import node_rows, search_row, vote_rows
from app.db.searches import SearchFilter, SearchRepository
from app.db.session import Database
from app.db.tables import NodeRow, SearchRow, VoteRow
from app.domain.budget import Budget, StopReason, Usage
from app.domain.iteration import Source
from app.domain.judgment import Judgment, Vote
from app.domain.options import Mode, SearchOptions
from app.domain.prompt import Prompt
from app.domain.sampling import Sampling
from app.domain.tree import Tree
from app.search.base import SearchRequest, SearchResult
from benchmarks.measure import Spread
from benchmarks.report import Row, Target

BATCH = 500
PAGE = 20
YEAR = timedelta(days=365)
WORDS = ["river", "stone", "cloud", "paper", "amber", "winter", "lantern", "garden", "copper"]
MEDIAN_TARGET_MS = Target(50, at_least=False)

Query = Callable[[AsyncSession], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Size:
    """How much to make: searches, and nodes of all of them together."""

    searches: int
    nodes: int

    @property
    def nodes_each(self) -> int:
        """Responses per search, beside the root."""
        return max(1, self.nodes // self.searches - 1)


async def fill(url: str, size: Size, seed: int = 0) -> AsyncGenerator[int, None]:
    """Put made-up searches of the last year into an upgraded database; yields each batch's size.

    Whole rows are inserted many at once; nothing else of the program runs meanwhile.
    """
    engine = open_engine(url)
    chance = random.Random(seed)
    start = datetime.now(UTC) - YEAR
    try:
        for done in range(0, size.searches, BATCH):
            moments = [
                start + YEAR * (number / size.searches)
                for number in range(done, min(done + BATCH, size.searches))
            ]
            results = [made_up(chance, moment, size.nodes_each) for moment in moments]
            async with engine.begin() as connection:
                rows = [search_row(*one) for one in zip(results, moments, strict=True)]
                await connection.execute(insert(SearchRow), rows)
                for table, of in ((NodeRow, node_rows), (VoteRow, vote_rows)):
                    await connection.execute(
                        insert(table), [row for result in results for row in of(result)]
                    )
            yield len(moments)
        async with engine.begin() as connection:
            await connection.execute(text("ANALYZE"))
    finally:
        await engine.dispose()


def made_up(chance: random.Random, moment: datetime, nodes: int) -> SearchResult:
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


async def measure(url: str, rounds: int, seed: int = 1) -> list[Row]:
    """Time every list and detail query, and writing one search: milliseconds per transaction."""
    database = Database(url)
    chance = random.Random(seed)
    try:
        ids = await _some_ids(database, chance, rounds)
        rows = []
        for name, queries in _queries(chance, ids).items():
            took = [await _timed(database, query) for query in queries]
            rows.append(Row(name, 1, Spread.of(took), "ms", MEDIAN_TARGET_MS))
        return rows
    finally:
        await database.close()


async def plans(url: str) -> dict[str, list[str]]:
    """How the database runs the list of searches under each filter, in its own words."""
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
    "with a common word": SearchFilter(text="river"),
    "with a word nobody wrote": SearchFilter(text="zeppelin"),
}


def _queries(chance: random.Random, ids: Sequence[str]) -> dict[str, list[Query]]:
    """Each query of the lists and details as often as there are ids."""

    def page(wanted: SearchFilter, cursor: str | None = None) -> Query:
        return lambda session: SearchRepository(session).page(PAGE, cursor, wanted)

    def get(search_id: str) -> Query:
        return lambda session: SearchRepository(session).get(search_id)

    def add(_: str) -> Query:
        result = made_up(chance, datetime.now(UTC), 10)
        return lambda session: SearchRepository(session).add(result)

    lists: dict[str, Query] = {
        "iterations": lambda session: IterationRepository(session).page(PAGE),
        "next iteration": lambda session: IterationRepository(session).next_to_run(),
        "counts of iterations": iteration_counts,
        "prompts": lambda session: PromptRepository(session).page(PAGE),
        "counts of prompts": lambda session: PromptRepository(session).count(),
        "unused prompts": lambda session: PromptRepository(session).least_used(
            Source.RECORDED, PAGE
        ),
        "better answers": lambda session: FeedbackRepository(session).better_answers("none"),
    }
    return {
        **{f"searches {name}": [page(wanted)] * len(ids) for name, wanted in FILTERS.items()},
        "searches, a page in the middle": [page(SearchFilter(), one) for one in ids],
        "a search with its tree": [get(one) for one in ids],
        **{name: [query] * len(ids) for name, query in lists.items()},
        "writing a search of 10 nodes": [add(one) for one in ids],
    }


async def _some_ids(database: Database, chance: random.Random, count: int) -> list[str]:
    """Ids of searches from all over the year."""
    ids = []
    async with database.session() as session:
        for _ in range(count):
            moment = datetime.now(UTC) - YEAR * chance.random()
            page, _ = await SearchRepository(session).page(1, str(ULID.from_datetime(moment)))
            ids += [one.id for one in page]
    return ids


async def _timed(database: Database, query: Query) -> float:
    start = time.perf_counter()
    async with database.session() as session:
        await query(session)
    return (time.perf_counter() - start) * 1000


def _text(chance: random.Random, words: int) -> str:
    return " ".join(chance.choices(WORDS, k=words))
