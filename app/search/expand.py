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
from app.search.base import (
    NodeCreated,
    NodeJudged,
    OnEvent,
    OnPhase,
    Phase,
    SearchRequest,
    TextDelta,
    ignore_phase,
)
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

    def __init__(
        self,
        request: SearchRequest,
        roles: Roles,
        tree: Tree,
        on_event: OnEvent,
        on_phase: OnPhase = ignore_phase,
    ) -> None:
        self._request = request
        self._roles = roles
        self._tree = tree
        self._emit = on_event
        self._on_phase = on_phase
        self._judgments: Once[Judgment] = Once()
        self._explained: Once[Judgment] = Once()
        self._unfinished: dict[int, Delta] = {}
        self.usage = Usage()
        self.meter = Meter(self.usage, request.budget.max_tokens)

    @property
    def elapsed_ms(self) -> float:
        """Milliseconds since the request arrived."""
        return (time.monotonic() - self._request.started) * 1000

    @property
    def _judged(self) -> bool:
        """All modes are judged, except greedy answers without constraints."""
        if self._request.root.kind is not NodeKind.PROMPT:
            return True
        return self._request.mode is not Mode.GREEDY or bool(self._request.prompt.constraints)

    async def expand(self, node_id: int, parent: Node) -> Node:
        """Write the child of `parent` that gets this id, and judge it."""
        with self._on_phase(Phase.NODE, node_id):
            return await self._expand(node_id, parent)

    async def _expand(self, node_id: int, parent: Node) -> Node:
        sampling = self._sampling(node_id)
        if parent.kind is NodeKind.PROMPT:
            with self._on_phase(Phase.RESPOND, node_id):
                completion = await self._respond(node_id, sampling)
        else:
            with self._on_phase(Phase.REFINE, node_id):
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
        judgment = await self._judgments.get(node.text, lambda: self._judge(node))
        node = self._tree.judge(node_id, judgment)
        self._emit(NodeJudged(node, judgment))
        return node

    async def judge_given(self) -> Node:
        """Judge the response that the search begins with, and return it."""
        root = self._tree.root
        judgment = await self._judgments.get(root.text, lambda: self._judge(root))
        return self._tree.judge(root.id, judgment)

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
            shown=streams,
            on_delta=on_delta,
        )
        del self._unfinished[node_id]
        return completion

    async def _refine(self, parent: Node, sampling: Sampling) -> Completion:
        judgment = await self._explain(parent)
        return await self._roles.refiner.refine(
            self._request.prompt,
            parent.text,
            judgment,
            model=served_name(Role.REFINER, self._request.versions.refiner),
            sampling=replace(sampling, temperature=self._roles.refine_temperature),
            priority=self._request.priority,
            chunk_tokens=self.meter.chunk_tokens,
            on_delta=self.meter,
        )

    async def _explain(self, parent: Node) -> Judgment:
        """The judgment to rewrite from; a critique that it still lacks is written now, once."""
        assert parent.judgment is not None, "only judged nodes are expanded"
        found, text = parent.judgment, parent.text

        async def explain() -> Judgment:
            return await self._roles.judge.explain(
                self._request.prompt, text, found, self._how(text), on_delta=self.meter
            )

        judgment = await self._explained.get(text, explain)
        if judgment is not found:
            self._tree.judge(parent.id, judgment)
        return judgment

    async def _judge(self, node: Node) -> Judgment:
        with self._on_phase(Phase.JUDGE, node.id):
            judgment = await self._roles.judge.judge(
                self._request.prompt,
                node.text,
                self._how(node.text),
                on_delta=self.meter,
                on_vote=self._count_vote,
            )
        self.usage.judgments += 1
        return judgment

    def _how(self, response: str) -> JudgeCall:
        options = self._request.options
        # The value itself decides between the candidates of best-of-N.
        decision_is_enough = self._request.mode is not Mode.BEST_OF_N
        return JudgeCall(
            model=served_name(Role.REFINER, self._request.versions.refiner),
            votes=options.votes,
            gate=options.gate,
            early_stop=options.early_stop and decision_is_enough,
            # From the text, so that it does not matter which of several equal nodes asks first.
            seed=derive_seed(self._request.sampling.seed, "judgment", response),
            priority=self._request.priority,
            chunk_tokens=self.meter.chunk_tokens,
            first_look=options.first_look if decision_is_enough else None,
            ties=options.ties,
        )

    def _count_vote(self) -> None:
        self.usage.votes += 1

    def _sampling(self, node_id: int) -> Sampling:
        sampling = self._request.sampling
        return replace(
            sampling,
            seed=derive_seed(sampling.seed, node_id),
            max_tokens=self.meter.clip(sampling.max_tokens),
        )
