"""Repair one rejected response of each prompt that has one, by tree search."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from pydantic import TypeAdapter
from sqlalchemy.ext.asyncio import AsyncSession
from ulid import ULID

from app.db.searches import SearchRepository
from app.domain.judgment import Judgment
from app.domain.prompt import Prompt
from app.domain.search import Budget, Sampling, derive_seed
from app.domain.tree import given_response
from app.search.base import SearchRequest
from app.search.run import run_search
from worker.context import BACKGROUND_PRIORITY, ItemResult, StageRun
from worker.stages.judge import Judged, JudgedResponse

ROOT = 0


@dataclass(frozen=True, slots=True)
class Rewrite:
    """A judged node of a repairing search; `parent` is the id of the node it rewrites."""

    id: int
    parent: int | None
    text: str
    judgment: Judgment


_STORED = TypeAdapter(list[Rewrite])


@dataclass(frozen=True, slots=True)
class Repair:
    """The search that repairs a rejected response, which is its node 0.

    `prompt` is the position of the prompt, `nodes` has the judged nodes by id, `best` is the best
    one's id.
    """

    prompt: int
    search_id: str
    best: int
    nodes: dict[int, Rewrite]

    @property
    def negative(self) -> Rewrite:
        """The rejected response that the search started from."""
        return self.nodes[ROOT]

    @property
    def accepted(self) -> Rewrite | None:
        """The best node, if it was accepted."""
        best = self.nodes[self.best]
        return best if best.judgment.accepted else None


async def refine(stage: StageRun, prompts: Sequence[Prompt], judged: Judged) -> tuple[Repair, ...]:
    """Repair a rejected response of each prompt, drawn at random, with the server's search."""
    negatives = _negatives(stage, judged)

    async def repair(key: str) -> ItemResult:
        index = int(key)
        result = await run_search(
            _request(stage, prompts[index], negatives[index], index), stage.context.roles
        )
        assert result.best is not None, "the given response is a node"

        async def store(session: AsyncSession) -> None:
            await SearchRepository(session).add(result)

        nodes = [
            Rewrite(node.id, node.parent, node.text, node.judgment)
            for node in result.tree
            if node.judgment is not None
        ]
        record = {"search_id": result.request.id, "best": result.best.id}
        return record | {"nodes": _STORED.dump_python(nodes, mode="json")}, store

    results = await stage.each([str(index) for index in negatives], repair)
    repairs = tuple(
        Repair(
            int(key),
            record["search_id"],
            record["best"],
            {node.id: node for node in _STORED.validate_python(record["nodes"])},
        )
        for key, record in results.items()
    )
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
