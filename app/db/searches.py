"""Stored searches."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, func, insert, or_, select, true
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import defer
from ulid import ULID

from app.db.session import insert_new
from app.db.tables import NodeRow, SearchRow, VoteRow, from_row
from app.domain.checkpoint import Versions
from app.domain.judgment import ConstraintResult, Judgment, QuickVerdict, Vote
from app.domain.prompt import Constraint, Message
from app.domain.search import Mode, StopReason, Usage
from app.domain.tree import Node
from app.search.base import SearchRequest, SearchResult


@dataclass(frozen=True, slots=True)
class StoredSummary:
    """One search without its tree.

    `prompt` is the instruction; `response`, `accepted` and `value` are the best node's (an empty
    text and None when there is no such node, or no judgment of it). `timing_ms` is the duration
    in milliseconds.
    """

    id: str
    created_at: datetime
    mode: Mode
    prompt: str
    response: str
    accepted: bool | None
    value: float | None
    stop_reason: StopReason
    versions: Versions
    usage: Usage
    timing_ms: float


@dataclass(frozen=True, slots=True)
class StoredSearch(StoredSummary):
    """One search with its whole tree.

    `constraints` is what was asked, `results` what the checkers said of the best node;
    `options` has the keys `search`, `budget` and `sampling`, as they were asked for.
    `nodes` starts with the root and is ordered by id.
    """

    messages: tuple[Message, ...]
    constraints: tuple[Constraint, ...]
    options: Mapping[str, Any]
    critique: str | None
    results: tuple[ConstraintResult, ...]
    best_node: int | None
    nodes: tuple[Node, ...]


Row = dict[str, Any]


def search_row(result: SearchResult, created_at: datetime) -> Row:
    """The values of a search's own row."""
    request, best = result.request, result.best
    return {
        "id": request.id,
        "created_at": created_at,
        "mode": request.mode,
        "messages": [asdict(message) for message in request.prompt.messages],
        "prompt": request.prompt.instruction,
        "constraints": [_constraint(one) for one in request.prompt.constraints],
        "options": _options(request),
        "response": best.text if best else "",
        **_judgment_columns(best.judgment if best else None, "results"),
        "best_node": best.id if best else None,
        "stop_reason": result.stop_reason,
        "actor_version": request.versions.actor,
        "refiner_version": request.versions.refiner,
        **asdict(result.usage),
        "timing_ms": result.timing_ms,
    }


def node_rows(result: SearchResult) -> list[Row]:
    """The values of every node's row, the root included."""
    return [
        {
            "search_id": result.request.id,
            "node_id": node.id,
            "parent": node.parent,
            "depth": node.depth,
            "kind": node.kind,
            "text": node.text,
            **_judgment_columns(node.judgment, "constraints"),
            **_quick_verdict_columns(node.judgment),
            "partial": node.partial,
            "completion_tokens": node.completion_tokens,
            "created_ms": node.created_ms,
        }
        for node in result.tree
    ]


def vote_rows(result: SearchResult) -> list[Row]:
    """The values of every vote's row."""
    return [
        {
            "search_id": result.request.id,
            "node_id": node.id,
            "position": position,
            "verdict": vote.verdict,
            "probability": vote.probability,
            "critique": vote.critique,
        }
        for node in result.tree
        if node.judgment is not None
        for position, vote in enumerate(node.judgment.votes)
    ]


def stored_search(
    row: SearchRow, nodes: Iterable[NodeRow], votes: Iterable[VoteRow]
) -> StoredSearch:
    """The whole search; `nodes` by id, `votes` of each node by position."""
    accept_threshold: float = row.options["search"]["accept_threshold"]
    cast: defaultdict[int, list[Vote]] = defaultdict(list)
    for vote in votes:
        cast[vote.node_id].append(Vote(vote.verdict, vote.probability, vote.critique))
    return from_row(
        StoredSearch,
        row,
        messages=tuple(Message(**message) for message in row.messages),
        constraints=tuple(Constraint(**constraint) for constraint in row.constraints),
        results=_results(row.results),
        nodes=tuple(_node(node, cast[node.node_id], accept_threshold) for node in nodes),
    )


def _options(request: SearchRequest) -> Row:
    return {
        "search": asdict(request.options),
        "budget": asdict(request.budget),
        "sampling": asdict(request.sampling),
    }


def _judgment_columns(judgment: Judgment | None, constraints: str) -> Row:
    """What rows say of a judgment; `constraints` names the column of the checkers' results."""
    if judgment is None:
        return {"value": None, "accepted": None, "critique": None, constraints: []}
    return {
        "value": judgment.value,
        "accepted": judgment.accepted,
        "critique": judgment.critique,
        constraints: [_result(one) for one in judgment.constraints],
    }


def _quick_verdict_columns(judgment: Judgment | None) -> Row:
    look = judgment.quick_verdict if judgment else None
    return {
        "quick_verdict": look.probability if look else None,
        "late_critique": judgment.late_critique if judgment else None,
    }


def _look(row: NodeRow, votes: Sequence[Vote]) -> QuickVerdict | None:
    """A quick verdict; it was taken only after every constraint was found to be met."""
    if row.quick_verdict is None:
        return None
    return QuickVerdict(row.quick_verdict, None if votes else row.accepted)


# Not dataclasses.asdict: it copies `kwargs` deeply, and takes only plain dicts apart.
def _constraint(constraint: Constraint) -> Row:
    return {"id": constraint.id, "kwargs": constraint.kwargs}


def _result(result: ConstraintResult) -> Row:
    return {
        "id": result.id,
        "kwargs": result.kwargs,
        "satisfied": result.satisfied,
        "message": result.message,
    }


def _results(stored: Iterable[Row]) -> tuple[ConstraintResult, ...]:
    return tuple(ConstraintResult(**one) for one in stored)


def _node(row: NodeRow, votes: Sequence[Vote], accept_threshold: float) -> Node:
    judgment = None
    if row.accepted is not None:
        judgment = Judgment(
            tuple(votes),
            _results(row.constraints),
            accept_threshold,
            _look(row, votes),
            row.late_critique,
        )
    return from_row(Node, row, id=row.node_id, judgment=judgment)


_SUMMARY = tuple(
    defer(column, raiseload=True)
    for column in (
        SearchRow.messages,
        SearchRow.constraints,
        SearchRow.options,
        SearchRow.critique,
        SearchRow.results,
        SearchRow.best_node,
    )
)
"""A list of searches does not read what only the whole search shows."""


_TIME_DIGITS = 10
"""Of a ULID's digits the first ones are its time, and so the primary key orders by time."""

LOOK = 5_000
"""How many searches a page looks at, at most, where no index says which ones are wanted."""


@dataclass(frozen=True, slots=True)
class SearchFilter:
    """Which searches are wanted: all that is given must hold, None means any.

    `actor` and `refiner` are versions. `text` occurs in the prompt or in the answer; whether
    upper and lower case differ beyond ASCII is up to the database.
    """

    mode: Mode | None = None
    accepted: bool | None = None
    stop_reason: StopReason | None = None
    actor: int | None = None
    refiner: int | None = None
    text: str | None = None

    @property
    def conditions(self) -> list[ColumnElement[bool]]:
        """What is asked of single columns; for each of these there is an index."""
        wanted = {
            SearchRow.mode: self.mode,
            SearchRow.accepted: self.accepted,
            SearchRow.stop_reason: self.stop_reason,
            SearchRow.actor_version: self.actor,
            SearchRow.refiner_version: self.refiner,
        }
        return [column == value for column, value in wanted.items() if value is not None]

    @property
    def needs_a_look(self) -> bool:
        """Whether no single index finds what is wanted: texts, or several conditions."""
        return bool(self.text) or len(self.conditions) > 1

    def narrow(self, query: Select[Any]) -> Select[Any]:
        """The query for no others than these searches."""
        query = query.where(*self.conditions)
        if self.text:
            texts = (SearchRow.prompt, SearchRow.response)
            occurs = [text.icontains(self.text, autoescape=True) for text in texts]
            query = query.where(or_(*occurs))
        return query


ALL_SEARCHES = SearchFilter()


def began_at(result: SearchResult) -> datetime:
    """When a search that ends now began (UTC)."""
    return datetime.now(UTC) - timedelta(milliseconds=result.timing_ms)


class SearchRepository:
    """Writes and reads searches inside the caller's transaction.

    look: how many searches a page looks at, at most, where no index says which ones are wanted.
    """

    def __init__(self, session: AsyncSession, *, look: int = LOOK) -> None:
        self._session = session
        self._look = look

    async def add(self, result: SearchResult, *, created_at: datetime | None = None) -> None:
        """Store a finished search with its tree and votes, unless it is stored already.

        `created_at` is when the search began; left out, the search is taken to end now.
        """
        row = search_row(result, created_at or began_at(result))
        # A connection that breaks during a commit leaves open whether it happened; the search is
        # then written again.
        if not await insert_new(self._session, SearchRow, [row], known_by=["id"]):
            return
        await self._session.execute(insert(NodeRow), node_rows(result))
        if votes := vote_rows(result):
            await self._session.execute(insert(VoteRow), votes)

    async def page(
        self, limit: int, cursor: str | None = None, wanted: SearchFilter = ALL_SEARCHES
    ) -> tuple[list[StoredSummary], str | None]:
        """Up to `limit` of the wanted searches, newest first, and the cursor of the next page.

        The cursor is None on the last page. Searches that arrive between two pages neither
        repeat nor hide any other. So that a page costs the same however many searches there are,
        one with a text or several conditions looks at a part of them only: it may hold fewer
        than `limit`, or none, and the next page goes on from there.
        """
        query = wanted.narrow(select(SearchRow)).options(*_SUMMARY).order_by(SearchRow.id.desc())
        seen_to = None
        if wanted.needs_a_look:
            newest = await self._newest(cursor, wanted)
            if newest is None:
                return [], None
            query = query.where(SearchRow.id <= newest)
            if (seen_to := await self._end_of_look(newest)) is not None:
                query = query.where(SearchRow.id >= seen_to)
        elif cursor is not None:
            query = query.where(SearchRow.id < cursor)
        rows = (await self._session.scalars(query.limit(limit + 1))).all()
        page = [from_row(StoredSummary, row) for row in rows[:limit]]
        return page, page[-1].id if len(rows) > limit else seen_to

    async def _newest(self, cursor: str | None, wanted: SearchFilter) -> str | None:
        """No wanted search after the cursor is newer than this id; None if there is none at all.

        A condition that few searches meet, such as an old version, lets us begin at the first.
        """
        newest = []
        for condition in wanted.conditions or [true()]:
            query = select(SearchRow.id).where(condition).order_by(SearchRow.id.desc()).limit(1)
            if cursor is not None:
                query = query.where(SearchRow.id < cursor)
            newest.append(await self._session.scalar(query))
        found = [one for one in newest if one is not None]
        return min(found) if len(found) == len(newest) else None

    async def _end_of_look(self, newest: str) -> str | None:
        """The oldest search to look at from `newest` on; None if all are within reach."""
        query = select(SearchRow.id).where(SearchRow.id <= newest).order_by(SearchRow.id.desc())
        ends = (await self._session.scalars(query.offset(self._look - 1).limit(2))).all()
        return ends[0] if len(ends) > 1 else None

    async def judged_since(self, moment: datetime) -> tuple[int, int]:
        """How many searches since then had a judged answer, and of how many it was accepted."""
        first = str(ULID.from_datetime(moment))[:_TIME_DIGITS]

        async def those(accepted: bool) -> int:
            # Counted in the index of this filter, without a look at the rows.
            query = select(func.count()).where(
                SearchRow.accepted == accepted, SearchRow.id >= first
            )
            return await self._session.scalar(query) or 0

        accepted = await those(True)
        return accepted + await those(False), accepted

    async def get(self, search_id: str) -> StoredSearch | None:
        """One search with its whole tree, or None when there is none of that id."""
        row = await self._session.get(SearchRow, search_id)
        if row is None:
            return None
        nodes = await self._session.scalars(
            select(NodeRow).where(NodeRow.search_id == search_id).order_by(NodeRow.node_id)
        )
        votes = await self._session.scalars(
            select(VoteRow)
            .where(VoteRow.search_id == search_id)
            .order_by(VoteRow.node_id, VoteRow.position)
        )
        return stored_search(row, nodes, votes)
