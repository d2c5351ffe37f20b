"""Converts results to response models: fields of equal names are copied, others computed."""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel

from app.api.schemas import (
    CheckpointOut,
    GenerateOut,
    JudgeOut,
    NodeOut,
    SearchDetailOut,
    SearchSummaryOut,
)
from app.db.searches import StoredSearch, StoredSummary
from app.domain.checkpoint import Versions
from app.domain.judgment import Judgment
from app.domain.search import Usage
from app.domain.tree import Node, NodeKind
from app.search.base import SearchResult

Out = TypeVar("Out", bound=BaseModel)


def render(model: type[Out], source: object, **given: Any) -> Out:
    """A response model from the attributes of `source` that have its fields' names.

    given: the fields that `source` does not have, or not as they are shown.
    """
    names = [name for name in model.model_fields if name not in given]
    values = {name: getattr(source, name) for name in names}
    return model.model_validate(values | given, from_attributes=True)


def node_out(node: Node, prompt_text: str) -> NodeOut:
    """One node; the root shows the prompt."""
    return render(
        NodeOut,
        node,
        text=prompt_text if node.kind is NodeKind.PROMPT else node.text,
        value=node.judgment.value if node.judgment else None,
        created_ms=round(node.created_ms, 3),
        votes=node.judgment.votes if node.judgment else (),
        quick_verdict=_quick_verdict(node.judgment),
        **_explained(node.judgment),
    )


def _explained(judgment: Judgment | None) -> Mapping[str, Any]:
    return {
        "critique": judgment.critique if judgment else None,
        "constraints": judgment.constraints if judgment else (),
    }


def _quick_verdict(judgment: Judgment | None) -> float | None:
    return judgment.quick_verdict.probability if judgment and judgment.quick_verdict else None


def checkpoint_out(versions: Versions) -> CheckpointOut:
    """The pinned versions."""
    return render(CheckpointOut, versions)


def generate_out(result: SearchResult, *, include_tree: bool) -> GenerateOut:
    """The answer to `POST /generate`."""
    best, request = result.best, result.request
    judgment = best.judgment if best else None
    tree = [node_out(node, request.prompt.instruction) for node in result.tree]
    return render(
        GenerateOut,
        result,
        id=request.id,
        mode=request.mode,
        response=best.text if best else "",
        accepted=judgment.accepted if judgment else None,
        value=judgment.value if judgment else None,
        **_explained(judgment),
        checkpoint=request.versions,
        timing_ms=round(result.timing_ms, 3),
        tree=tree if include_tree else None,
    )


def judge_out(judgment: Judgment, versions: Versions, usage: Usage) -> JudgeOut:
    """The answer to `POST /judge`."""
    return render(
        JudgeOut,
        judgment,
        quick_verdict=_quick_verdict(judgment),
        checkpoint=versions,
        usage=usage,
    )


def summary_out(stored: StoredSummary) -> SearchSummaryOut:
    """A stored search in a list."""
    return render(SearchSummaryOut, stored, checkpoint=stored.versions)


def detail_out(stored: StoredSearch) -> SearchDetailOut:
    """A stored search with its tree."""
    return render(
        SearchDetailOut,
        stored,
        checkpoint=stored.versions,
        constraints=stored.results,
        asked=stored.constraints,
        tree=[node_out(node, stored.prompt) for node in stored.nodes],
    )
