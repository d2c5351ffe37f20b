"""Tree search repairs one rejected response of each prompt that has one."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from sqlalchemy.ext.asyncio import AsyncSession
from ulid import ULID

from app.db.searches import SearchRepository
from app.domain.judgment import Judgment
from app.domain.prompt import Prompt
from app.domain.search import Budget, Sampling, derive_seed
from app.domain.tree import Node, given_response
from app.search.base import SearchRequest
from app.search.run import run_search
from worker.context import (
    BACKGROUND_PRIORITY,
    ItemResult,
    Record,
    StageRun,
    judgment_record,
    read_judgment,
)
from worker.stages.judge import Judged, JudgedResponse

ROOT = 0


@dataclass(frozen=True, slots=True)
class Rewrite:
    """A judged node of a repairing search; `parent` is the id of the node it rewrites."""

    id: int
    parent: int | None
    text: str
    judgment: Judgment


@dataclass(frozen=True, slots=True)
class Repair:
    """What the search made of a rejected response. `nodes` has the judged ones, by id.

    `prompt` is the position of the prompt, `best` the id of the best node; node 0 is the
    rejected response.
    """

    prompt: int
    search_id: str
    best: int
    nodes: dict[int, Rewrite]

    @property
    def negative(self) -> Rewrite:
        """The rejected response the search began with."""
        return self.nodes[ROOT]

    @property
    def accepted(self) -> Rewrite | None:
        """The best node, if it was accepted."""
        best = self.nodes[self.best]
        return best if best.judgment.accepted else None


async def refine(stage: StageRun, prompts: Sequence[Prompt], judged: Judged) -> tuple[Repair, ...]:
    """Repair a rejected response, drawn at random, of each prompt by the serving search."""
    negatives = _negatives(stage, judged)

    async def repair(key: str) -> ItemResult:
        index = int(key)
        result = await run_search(
            _request(stage, prompts[index], negatives[index], index), stage.context.roles
        )
        assert result.best is not None, "the given response is there"

        async def store(session: AsyncSession) -> None:
            await SearchRepository(session).add(result)

        nodes = [_node_record(node) for node in result.tree if node.judgment is not None]
        record = {"search_id": result.request.id, "best": result.best.id, "nodes": nodes}
        return record, store

    results = await stage.each([str(index) for index in negatives], repair)
    repairs = tuple(_read(int(key), record) for key, record in results.items())
    stage.metrics |= {
        "searches": len(repairs),
        "accepted": sum(repair.accepted is not None for repair in repairs),
        "nodes": sum(len(repair.nodes) - 1 for repair in repairs),
    }
    return repairs


def _negatives(stage: StageRun, judged: Judged) -> dict[int, JudgedResponse]:
    """By position of the prompt, one rejected response; the same again on resuming."""
    negatives: dict[int, JudgedResponse] = {}
    if not stage.context.options.data.refine:
        return negatives
    for index, responses in enumerate(judged):
        rejected = [response for response in responses if not response.judgment.accepted]
        if rejected:
            draw = Random(derive_seed(stage.context.options.seed, "negative", index))
            negatives[index] = draw.choice(rejected)
    return negatives


def _request(
    stage: StageRun, prompt: Prompt, negative: JudgedResponse, index: int
) -> SearchRequest:
    context, data = stage.context, stage.context.options.data
    return SearchRequest(
        id=str(ULID()),
        mode=data.mode,
        prompt=prompt,
        options=data.search,
        budget=Budget(),
        sampling=Sampling(
            temperature=data.temperature,
            top_p=data.top_p,
            max_tokens=data.max_tokens,
            seed=derive_seed(context.options.seed, "refine", index),
        ),
        started=time.monotonic(),
        versions=context.incumbents,
        priority=BACKGROUND_PRIORITY,
        root=given_response(negative.text, negative.judgment),
    )


def _node_record(node: Node) -> Record:
    assert node.judgment is not None, "only judged nodes are kept"
    return {
        "id": node.id,
        "parent": node.parent,
        "text": node.text,
        "judgment": judgment_record(node.judgment),
    }


def _read(prompt: int, record: Record) -> Repair:
    nodes = {
        node["id"]: Rewrite(**(node | {"judgment": read_judgment(node["judgment"])}))
        for node in record["nodes"]
    }
    return Repair(prompt, record["search_id"], record["best"], nodes)
