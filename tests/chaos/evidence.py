"""The evidence collected in a run."""

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import select

from app.db.session import Database
from app.db.tables import IterationRow, NodeRow, PromotionRow, SearchRow, VoteRow
from app.domain.checkpoint import Role, served_name
from tests.chaos.faults import ServerEnd
from tests.chaos.outcome import Outcome, Version, named_versions

_LOST = re.compile(r"search ([0-9A-HJKMNP-TV-Z]{26}) was answered but not stored")
KEPT = 3
"""Promoted versions of a role that a server keeps loaded (`SPAR_KEEP_VERSIONS`)."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A stored search; `named` are the models named in its texts."""

    prompt: str
    versions: Version
    response: str
    tokens: int
    nodes: int
    rows: int
    named: frozenset[tuple[str, int]]


@dataclass(frozen=True, slots=True)
class Quiet:
    """A time (seconds of the run) at which a server had written every answered search.

    start: number of the server's start, from 1.
    """

    at: float
    start: int


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident bytes of one server process, after warm-up and at the end."""

    start: int
    seconds: float
    warm: int
    last: int


@dataclass(frozen=True, slots=True)
class Iterated:
    """An iteration: its observed states, and its final row."""

    id: str
    seen: Sequence[str]
    status: str
    finished: bool
    promotions: int
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """The input of the invariants.

    calm_from: time from which all requests must succeed again.
    lost_ids: searches logged as lost.
    adapters: the engine's adapters; None if unknown. kept: adapters that may be loaded.
    serving: the promoted and the active versions; None if unknown.
    """

    outcomes: Sequence[Outcome] = ()
    calm_from: float = 0.0
    ends: Sequence[ServerEnd] = ()
    quiet: Sequence[Quiet] = ()
    stored: Mapping[str, Stored] = field(default_factory=dict)
    lost_ids: frozenset[str] = frozenset()
    iterations: Sequence[Iterated] = ()
    crashes: Sequence[str] = ()
    orphans: Sequence[str] = ()
    memory: Sequence[Memory] = ()
    adapters: frozenset[str] | None = None
    kept: frozenset[str] = frozenset()
    serving: tuple[Version, Version] | None = None


def lost_in(log: Path) -> frozenset[str]:
    """Searches logged as answered but not stored."""
    return frozenset(_LOST.findall(log.read_text(errors="replace")))


async def stored_searches(database: Database, mark: str) -> dict[str, Stored]:
    """Stored searches whose prompt starts with the mark, by id."""
    ours = SearchRow.prompt.startswith(mark)
    nodes = select(NodeRow.search_id, NodeRow.text, NodeRow.critique)
    votes = select(VoteRow.search_id, VoteRow.critique)
    texts, rows = defaultdict[str, list[str]](list), Counter[str]()
    async with database.session() as session:
        for search_id, text, critique in await session.execute(
            nodes.join(SearchRow, SearchRow.id == NodeRow.search_id).where(ours)
        ):
            texts[search_id] += [text, critique or ""]
            rows[search_id] += 1
        for search_id, critique in await session.execute(
            votes.join(SearchRow, SearchRow.id == VoteRow.search_id).where(ours)
        ):
            texts[search_id].append(critique)
        return {
            search.id: Stored(
                prompt=search.prompt,
                versions=(search.actor_version, search.refiner_version),
                response=search.response,
                tokens=search.completion_tokens,
                nodes=search.nodes,
                rows=rows[search.id],
                named=named_versions("\n".join(texts[search.id])),
            )
            for search in await session.scalars(select(SearchRow).where(ours))
        }


async def iterated(database: Database, seen: Mapping[str, Sequence[str]]) -> list[Iterated]:
    """Every iteration, with its observed states."""
    async with database.session() as session:
        promoted = list(await session.scalars(select(PromotionRow.iteration_id)))
        return [
            Iterated(
                id=row.id,
                seen=seen.get(row.id, ()),
                status=row.status.value,
                finished=row.finished_at is not None,
                promotions=promoted.count(row.id),
                error=row.error,
            )
            for row in await session.scalars(select(IterationRow))
        ]


async def kept_adapters(database: Database) -> frozenset[str]:
    """The adapters that a server may keep loaded: the last promoted versions of each role."""
    newest_first = select(PromotionRow.actor_version, PromotionRow.refiner_version).order_by(
        PromotionRow.id.desc()
    )
    async with database.session() as session:
        promoted = (await session.execute(newest_first)).all()
    names = set[str]()
    for role, versions in zip(Role, zip(*promoted, strict=True), strict=False):
        names |= {served_name(role, version) for version in list(dict.fromkeys(versions))[:KEPT]}
    return frozenset(names)
