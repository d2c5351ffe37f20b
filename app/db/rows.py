"""Between a search and its rows, both ways."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from app.db.stored import StoredSearch, StoredSummary
from app.db.tables import NodeRow, SearchRow, VoteRow
from app.domain.budget import Usage
from app.domain.checkpoint import Versions
from app.domain.judgment import ConstraintResult, Judgment, Look, Vote
from app.domain.prompt import Constraint, Message
from app.domain.tree import Node
from app.search.base import SearchRequest, SearchResult

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
            **_look_columns(node.judgment),
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


def stored_summary(row: SearchRow) -> StoredSummary:
    """The summary a row holds."""
    return StoredSummary(**_summary(row))


def stored_search(
    row: SearchRow, nodes: Iterable[NodeRow], votes: Iterable[VoteRow]
) -> StoredSearch:
    """The whole search; `nodes` by id, `votes` of each node by position."""
    gate: float = row.options["search"]["gate"]
    cast: defaultdict[int, list[Vote]] = defaultdict(list)
    for vote in votes:
        cast[vote.node_id].append(Vote(vote.verdict, vote.probability, vote.critique))
    return StoredSearch(
        **_summary(row),
        messages=tuple(Message(**message) for message in row.messages),
        constraints=tuple(Constraint(**constraint) for constraint in row.constraints),
        options=row.options,
        critique=row.critique,
        results=_results(row.results),
        best_node=row.best_node,
        nodes=tuple(_node(node, cast[node.node_id], gate) for node in nodes),
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


def _look_columns(judgment: Judgment | None) -> Row:
    look = judgment.first_look if judgment else None
    return {
        "first_look": look.probability if look else None,
        "late_critique": judgment.late_critique if judgment else None,
    }


def _look(row: NodeRow, votes: Sequence[Vote]) -> Look | None:
    """A first look; it was taken only after every constraint was found to be met."""
    if row.first_look is None:
        return None
    return Look(row.first_look, None if votes else row.accepted)


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


def _node(row: NodeRow, votes: Sequence[Vote], gate: float) -> Node:
    judgment = None
    if row.accepted is not None:
        judgment = Judgment(
            tuple(votes), _results(row.constraints), gate, _look(row, votes), row.late_critique
        )
    return Node(
        id=row.node_id,
        parent=row.parent,
        depth=row.depth,
        kind=row.kind,
        text=row.text,
        judgment=judgment,
        partial=row.partial,
        completion_tokens=row.completion_tokens,
        created_ms=row.created_ms,
    )


def _summary(row: SearchRow) -> Row:
    return {
        "id": row.id,
        "created_at": row.created_at,
        "mode": row.mode,
        "prompt": row.prompt,
        "response": row.response,
        "accepted": row.accepted,
        "value": row.value,
        "stop_reason": row.stop_reason,
        "versions": Versions(row.actor_version, row.refiner_version),
        "usage": Usage(
            prompt_tokens=row.prompt_tokens,
            completion_tokens=row.completion_tokens,
            responses=row.responses,
            refinements=row.refinements,
            judgments=row.judgments,
            votes=row.votes,
            nodes=row.nodes,
        ),
        "timing_ms": row.timing_ms,
    }
