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
        self._unfinished: dict[int, str] = {}
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
        responds = parent.kind is NodeKind.PROMPT
        seed = derive_seed(self._request.sampling.seed, node_id)
        completion = await (
            self._respond(node_id, seed) if responds else self._refine(parent, seed)
        )
        self.usage.responses += responds
        self.usage.refinements += not responds
        node = self._add(node_id, parent, completion)
        if not self._judged:
            return node
        judgment = await self._judgments.get(node.text, lambda: self._judge(node.text, seed))
        node = self._tree.judge(node_id, judgment)
        self._emit(NodeJudged(node, judgment))
        return node

    def keep_unfinished_response(self) -> None:
        """Make a partial node of the longest response that was cut off, if there is no other."""
        node_id = max(self._unfinished, key=lambda key: len(self._unfinished[key]), default=None)
        if node_id is not None and not self._tree.responses and self._unfinished[node_id]:
            text = self._unfinished[node_id]
            self._tree.add(node_id, self._tree.root, text, partial=True, created_ms=self.elapsed_ms)
            self.usage.nodes += 1

    def _add(self, node_id: int, parent: Node, completion: Completion) -> Node:
        node = self._tree.add(
            node_id,
            parent,
            completion.text,
            completion_tokens=completion.completion_tokens,
            created_ms=self.elapsed_ms,
        )
        self.usage.nodes += 1
        self._emit(NodeCreated(node))
        return node

    async def _respond(self, node_id: int, seed: int | None) -> Completion:
        streams = self._request.stream and self._request.mode is Mode.GREEDY
        self._unfinished[node_id] = ""

        def on_delta(delta: Delta) -> None:
            self.meter(delta)
            self._unfinished[node_id] += delta.text
            if streams and delta.text:
                self._emit(TextDelta(delta.text))

        completion = await self._roles.actor.respond(
            self._request.prompt,
            model=served_name(Role.ACTOR, self._request.versions.actor),
            sampling=self._sampling(seed),
            priority=self._request.priority,
            chunk_tokens=1 if streams else self.meter.chunk_tokens,
            on_delta=on_delta,
        )
        del self._unfinished[node_id]
        return completion

    async def _refine(self, parent: Node, seed: int | None) -> Completion:
        assert parent.judgment is not None, "only judged nodes are expanded"
        return await self._roles.refiner.refine(
            self._request.prompt,
            parent.text,
            parent.judgment,
            model=served_name(Role.REFINER, self._request.versions.refiner),
            sampling=replace(self._sampling(seed), temperature=self._roles.refine_temperature),
            priority=self._request.priority,
            chunk_tokens=self.meter.chunk_tokens,
            on_delta=self.meter,
        )

    async def _judge(self, response: str, seed: int | None) -> Judgment:
        options = self._request.options
        how = JudgeCall(
            model=served_name(Role.REFINER, self._request.versions.refiner),
            votes=options.votes,
            gate=options.gate,
            # The value itself decides between the candidates of best-of-N.
            early_stop=options.early_stop and self._request.mode is not Mode.BEST_OF_N,
            seed=seed,
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

    def _sampling(self, seed: int | None) -> Sampling:
        sampling = self._request.sampling
        return replace(sampling, seed=seed, max_tokens=self.meter.clip(sampling.max_tokens))
