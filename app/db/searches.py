"""Stored searches: how results become rows and back, lists with filters, and statistics."""

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

    `constraints` are the request's, `results` the checkers' results for the best node;
    `options` has the request's `search`, `budget` and `sampling`.
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
    """The columns of a judgment; `constraints` names the column of the checkers' results."""
    if judgment is None:
        return {"value": None, "accepted": None, "critique": None, constraints: []}
    return {
        "value": judgment.value,
        "accepted": judgment.accepted,
        "critique": judgment.critique,
        constraints: [_result(one) for one in judgment.constraints],
    }


def _quick_verdict_columns(judgment: Judgment | None) -> Row:
    quick = judgment.quick_verdict if judgment else None
    return {
        "quick_verdict": quick.probability if quick else None,
        "late_critique": judgment.late_critique if judgment else None,
    }


def _quick_verdict(row: NodeRow, votes: Sequence[Vote]) -> QuickVerdict | None:
    """The quick verdict, if one was read: only responses that meet every constraint have one."""
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
            _quick_verdict(row, votes),
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
"""Columns that only the whole search shows, and that lists do not read."""


_TIME_DIGITS = 10
"""The first digits of a ULID encode its time, so the primary key orders by time."""

SCAN_LIMIT = 5_000
"""How many searches a page scans at most, where no single index serves the filter."""


@dataclass(frozen=True, slots=True)
class SearchFilter:
    """A filter of the list: all conditions that are given must hold, None means any.

    `actor` and `refiner` are versions. `text` occurs in the prompt or in the response; letters
    match without regard to case, beyond ASCII only where the database does so.
    """

    mode: Mode | None = None
    accepted: bool | None = None
    stop_reason: StopReason | None = None
    actor: int | None = None
    refiner: int | None = None
    text: str | None = None

    @property
    def conditions(self) -> list[ColumnElement[bool]]:
        """The conditions on single columns; there is an index for each."""
        wanted = {
            SearchRow.mode: self.mode,
            SearchRow.accepted: self.accepted,
            SearchRow.stop_reason: self.stop_reason,
            SearchRow.actor_version: self.actor,
            SearchRow.refiner_version: self.refiner,
        }
        return [column == value for column, value in wanted.items() if value is not None]

    @property
    def needs_scan(self) -> bool:
        """Whether no single index serves the filter: it has a text or several conditions."""
        return bool(self.text) or len(self.conditions) > 1

    def narrow(self, query: Select[Any]) -> Select[Any]:
        """The query, restricted to these searches."""
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

    scan_limit: how many searches a page scans at most, where no single index serves the filter.
    """

    def __init__(self, session: AsyncSession, *, scan_limit: int = SCAN_LIMIT) -> None:
        self._session = session
        self._scan_limit = scan_limit

    async def add(self, result: SearchResult, *, created_at: datetime | None = None) -> None:
        """Store a finished search with its tree and votes, unless it is stored already.

        `created_at` is when the search began; left out, the search is taken to end now.
        """
        row = search_row(result, created_at or began_at(result))
        # After a connection that broke during a commit, the search is written again.
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
        repeat nor hide others. To bound its cost, a page with a text or several conditions scans
        at most `scan_limit` searches: it may hold fewer than `limit`, or none, and the next page
        continues from there.
        """
        query = wanted.narrow(select(SearchRow)).options(*_SUMMARY).order_by(SearchRow.id.desc())
        scanned_to = None
        if wanted.needs_scan:
            newest = await self._newest(cursor, wanted)
            if newest is None:
                return [], None
            query = query.where(SearchRow.id <= newest)
            if (scanned_to := await self._scan_end(newest)) is not None:
                query = query.where(SearchRow.id >= scanned_to)
        elif cursor is not None:
            query = query.where(SearchRow.id < cursor)
        rows = (await self._session.scalars(query.limit(limit + 1))).all()
        page = [from_row(StoredSummary, row) for row in rows[:limit]]
        return page, page[-1].id if len(rows) > limit else scanned_to

    async def _newest(self, cursor: str | None, wanted: SearchFilter) -> str | None:
        """An upper bound of the ids of wanted searches after the cursor; None if there are none.

        The scan begins there: a condition that few searches meet, such as an old version, saves
        most of it.
        """
        newest = []
        for condition in wanted.conditions or [true()]:
            query = select(SearchRow.id).where(condition).order_by(SearchRow.id.desc()).limit(1)
            if cursor is not None:
                query = query.where(SearchRow.id < cursor)
            newest.append(await self._session.scalar(query))
        found = [one for one in newest if one is not None]
        return min(found) if len(found) == len(newest) else None

    async def _scan_end(self, newest: str) -> str | None:
        """The id of the last search to scan from `newest` on; None if the scan reaches the end."""
        query = select(SearchRow.id).where(SearchRow.id <= newest).order_by(SearchRow.id.desc())
        ends = (await self._session.scalars(query.offset(self._scan_limit - 1).limit(2))).all()
        return ends[0] if len(ends) > 1 else None

    async def judged_since(self, moment: datetime) -> tuple[int, int]:
        """The numbers of searches since then with a judged and with an accepted answer."""
        first = str(ULID.from_datetime(moment))[:_TIME_DIGITS]

        async def those(accepted: bool) -> int:
            # Counted in the index of this filter alone.
            query = select(func.count()).where(
                SearchRow.accepted == accepted, SearchRow.id >= first
            )
            return await self._session.scalar(query) or 0

        accepted = await those(True)
        return accepted + await those(False), accepted

    async def get(self, search_id: str) -> StoredSearch | None:
        """One search with its whole tree, or None if no search has that id."""
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
