"""Expanding one node: write a child, then judge it."""

import time
from dataclasses import dataclass, replace

from app.domain.budget import Usage
from app.domain.checkpoint import Role, served_name
from app.domain.judgment import Judgment
from app.domain.options import Mode
from app.domain.sampling import Sampling, derive_seed
from app.domain.tree import Node, NodeKind, Tree
from app.engine.base import Completion, Delta
from app.roles.actor import Actor
from app.roles.judge import Judge, JudgeCall
from app.roles.refiner import Refiner
from app.search.base import NodeCreated, NodeJudged, OnEvent, SearchRequest, TextDelta
from app.search.meter import Meter
from app.search.once import Once


@dataclass(frozen=True, slots=True)
class Roles:
    """Who answers, who judges, who rewrites (at its own temperature)."""

    actor: Actor
    judge: Judge
    refiner: Refiner
    refine_temperature: float


class Expander:
    """Writes and judges the nodes of one search and keeps its accounts."""

    def __init__(self, request: SearchRequest, roles: Roles, tree: Tree, on_event: OnEvent) -> None:
        self._request = request
        self._roles = roles
        self._tree = tree
        self._emit = on_event
        self._judgments: Once[Judgment] = Once()
        self._unfinished: dict[int, Delta] = {}
        self.usage = Usage()
        self.meter = Meter(self.usage, request.budget.max_tokens)

    @property
    def elapsed_ms(self) -> float:
        """Milliseconds since the request arrived."""
        return (time.monotonic() - self._request.started) * 1000

    @property
    def _judged(self) -> bool:
        """All modes are judged, except greedy without constraints."""
        return self._request.mode is not Mode.GREEDY or bool(self._request.prompt.constraints)

    async def expand(self, node_id: int, parent: Node) -> Node:
        """Write the child of `parent` that gets this id, and judge it."""
        sampling = self._sampling(node_id)
        if parent.kind is NodeKind.PROMPT:
            completion = await self._respond(node_id, sampling)
        else:
            completion = await self._refine(parent, sampling)
        clipped = sampling.max_tokens < self._request.sampling.max_tokens
        node = self._add(
            node_id,
            parent,
            completion.text,
            completion.completion_tokens,
            partial=clipped and completion.finish_reason == "length",
        )
        if not self._judged:
            return node
        judgment = await self._judgments.get(node.text, lambda: self._judge(node.text))
        node = self._tree.judge(node_id, judgment)
        self._emit(NodeJudged(node, judgment))
        return node

    def keep_unfinished_response(self) -> None:
        """Make a partial node of the longest response that was cut off, if there is no other."""
        written = {key: part for key, part in self._unfinished.items() if part.text}
        if written and not self._tree.responses:
            node_id, part = max(written.items(), key=lambda item: len(item[1].text))
            self._add(node_id, self._tree.root, part.text, part.completion_tokens, partial=True)

    def _add(
        self, node_id: int, parent: Node, text: str, completion_tokens: int, *, partial: bool
    ) -> Node:
        node = self._tree.add(
            node_id,
            parent,
            text,
            partial=partial,
            completion_tokens=completion_tokens,
            created_ms=self.elapsed_ms,
        )
        self.usage.nodes += 1
        self.usage.responses += node.kind is NodeKind.RESPONSE
        self.usage.refinements += node.kind is NodeKind.REFINEMENT
        self._emit(NodeCreated(node))
        return node

    async def _respond(self, node_id: int, sampling: Sampling) -> Completion:
        streams = self._request.stream and self._request.mode is Mode.GREEDY
        self._unfinished[node_id] = Delta()

        def on_delta(delta: Delta) -> None:
            self.meter(delta)
            before = self._unfinished[node_id]
            self._unfinished[node_id] = Delta(
                before.text + delta.text, before.completion_tokens + delta.completion_tokens
            )
            if streams and delta.text:
                self._emit(TextDelta(delta.text))

        completion = await self._roles.actor.respond(
            self._request.prompt,
            model=served_name(Role.ACTOR, self._request.versions.actor),
            sampling=sampling,
            priority=self._request.priority,
            chunk_tokens=1 if streams else self.meter.chunk_tokens,
            on_delta=on_delta,
        )
        del self._unfinished[node_id]
        return completion

    async def _refine(self, parent: Node, sampling: Sampling) -> Completion:
        assert parent.judgment is not None, "only judged nodes are expanded"
        return await self._roles.refiner.refine(
            self._request.prompt,
            parent.text,
            parent.judgment,
            model=served_name(Role.REFINER, self._request.versions.refiner),
            sampling=replace(sampling, temperature=self._roles.refine_temperature),
            priority=self._request.priority,
            chunk_tokens=self.meter.chunk_tokens,
            on_delta=self.meter,
        )

    async def _judge(self, response: str) -> Judgment:
        options = self._request.options
        how = JudgeCall(
            model=served_name(Role.REFINER, self._request.versions.refiner),
            votes=options.votes,
            gate=options.gate,
            # The value itself decides between the candidates of best-of-N.
            early_stop=options.early_stop and self._request.mode is not Mode.BEST_OF_N,
            # From the text, so that it does not matter which of several equal nodes asks first.
            seed=derive_seed(self._request.sampling.seed, "judgment", response),
            priority=self._request.priority,
            chunk_tokens=self.meter.chunk_tokens,
        )
        judgment = await self._roles.judge.judge(
            self._request.prompt, response, how, on_delta=self.meter, on_vote=self._count_vote
        )
        self.usage.judgments += 1
        return judgment

    def _count_vote(self) -> None:
        self.usage.votes += 1

    def _sampling(self, node_id: int) -> Sampling:
        sampling = self._request.sampling
        return replace(
            sampling,
            seed=derive_seed(sampling.seed, node_id),
            max_tokens=self.meter.clip(sampling.max_tokens),
        )
