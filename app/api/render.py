"""From results to the JSON that clients get."""

from dataclasses import asdict

from app.api.schemas import (
    CheckpointOut,
    ConstraintIn,
    ConstraintOut,
    GenerateOut,
    JudgeOut,
    MessageIn,
    NodeOut,
    SearchDetailOut,
    SearchSummaryOut,
    UsageOut,
    VoteOut,
)
from app.db.searches import StoredSearch, StoredSummary
from app.domain.checkpoint import Versions
from app.domain.judgment import ConstraintResult, Judgment
from app.domain.search import Usage
from app.domain.tree import Node, NodeKind
from app.search.base import SearchResult


def node_out(node: Node, prompt_text: str) -> NodeOut:
    """One node; the root shows the prompt."""
    judgment = node.judgment
    return NodeOut(
        id=node.id,
        parent=node.parent,
        depth=node.depth,
        kind=node.kind,
        text=prompt_text if node.kind is NodeKind.PROMPT else node.text,
        value=judgment.value if judgment else None,
        accepted=node.accepted,
        critique=judgment.critique if judgment else None,
        constraints=constraints_out(judgment),
        votes=votes_out(judgment),
        quick_verdict=_quick_verdict_of(judgment),
        partial=node.partial,
        completion_tokens=node.completion_tokens,
        created_ms=round(node.created_ms, 3),
    )


def _quick_verdict_of(judgment: Judgment | None) -> float | None:
    return judgment.quick_verdict.probability if judgment and judgment.quick_verdict else None


def constraints_out(judgment: Judgment | None) -> list[ConstraintOut]:
    """The constraint results of a judgment."""
    return [constraint_out(result) for result in (judgment.constraints if judgment else ())]


def constraint_out(result: ConstraintResult) -> ConstraintOut:
    """One constraint result."""
    return ConstraintOut(
        id=result.id,
        kwargs=dict(result.kwargs),
        satisfied=result.satisfied,
        message=result.message,
    )


def votes_out(judgment: Judgment | None) -> list[VoteOut]:
    """The votes of a judgment."""
    return [VoteOut(**asdict(vote)) for vote in (judgment.votes if judgment else ())]


def checkpoint_out(versions: Versions) -> CheckpointOut:
    """The pinned versions."""
    return CheckpointOut(**asdict(versions))


def usage_out(usage: Usage) -> UsageOut:
    """The running totals."""
    return UsageOut(**asdict(usage))


def generate_out(result: SearchResult, *, include_tree: bool) -> GenerateOut:
    """The answer to `POST /generate`."""
    best, request = result.best, result.request
    judgment = best.judgment if best else None
    tree = [node_out(node, request.prompt.instruction) for node in result.tree]
    return GenerateOut(
        id=request.id,
        mode=request.mode,
        response=best.text if best else "",
        accepted=judgment.accepted if judgment else None,
        value=judgment.value if judgment else None,
        critique=judgment.critique if judgment else None,
        constraints=constraints_out(judgment),
        stop_reason=result.stop_reason,
        checkpoint=checkpoint_out(request.versions),
        usage=usage_out(result.usage),
        timing_ms=round(result.timing_ms, 3),
        tree=tree if include_tree else None,
    )


def judge_out(judgment: Judgment, versions: Versions, usage: Usage) -> JudgeOut:
    """The answer to `POST /judge`."""
    return JudgeOut(
        accepted=judgment.accepted,
        value=judgment.value,
        votes=votes_out(judgment),
        quick_verdict=_quick_verdict_of(judgment),
        critique=judgment.critique,
        constraints=constraints_out(judgment),
        checkpoint=checkpoint_out(versions),
        usage=usage_out(usage),
    )


def summary_out(stored: StoredSummary) -> SearchSummaryOut:
    """A stored search in a list."""
    return SearchSummaryOut(
        id=stored.id,
        created_at=stored.created_at,
        mode=stored.mode,
        prompt=stored.prompt,
        response=stored.response,
        accepted=stored.accepted,
        value=stored.value,
        stop_reason=stored.stop_reason,
        checkpoint=checkpoint_out(stored.versions),
        usage=usage_out(stored.usage),
        timing_ms=stored.timing_ms,
    )


def detail_out(stored: StoredSearch) -> SearchDetailOut:
    """A stored search with its tree."""
    return SearchDetailOut(
        **summary_out(stored).model_dump(),
        messages=[MessageIn(role=m.role, content=m.content) for m in stored.messages],
        critique=stored.critique,
        constraints=[constraint_out(result) for result in stored.results],
        asked=[ConstraintIn(id=one.id, kwargs=dict(one.kwargs)) for one in stored.constraints],
        best_node=stored.best_node,
        options=dict(stored.options),
        tree=[node_out(node, stored.prompt) for node in stored.nodes],
    )
