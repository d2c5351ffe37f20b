"""The driver of every search: awaits model calls, spends the budget, cancels running calls.

A search expands what its algorithm selects, all at once. Expanding the root means that the
actor responds, expanding any other node means that the refiner rewrites that node's response.
Each child is judged the moment it exists. Whatever ends the search (an accepted node, the
budget, the deadline, a client that disconnected) cancels every call still running in the engine.
"""

import asyncio
import logging
import math
import time
from collections.abc import Callable, Coroutine, Hashable
from dataclasses import dataclass, replace
from typing import Any

from app.concurrency import cancel_and_wait, race
from app.domain.checkpoint import Role
from app.domain.judgment import Judgment
from app.domain.search import Sampling, StopReason, Usage, derive_seed
from app.domain.tree import Node, NodeKind, Tree
from app.engine.base import (
    WHOLE_CALL,
    CallContext,
    Completion,
    Delta,
    count_into,
    prefix_affinity,
)
from app.errors import EngineUnavailable, SparError
from app.roles.actor import Actor
from app.roles.judge import Judge, JudgeOptions
from app.roles.refiner import Refiner
from app.search.algorithms import ALGORITHMS
from app.search.base import (
    NodeAccepted,
    NodeCreated,
    NodeJudged,
    OnEvent,
    OnPhase,
    Phase,
    SearchRequest,
    SearchResult,
    TextDelta,
    ignore_event,
    ignore_phase,
)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Roles:
    """The actor, the judge and the refiner, which has its own temperature."""

    actor: Actor
    judge: Judge
    refiner: Refiner
    refine_temperature: float


async def run_search(
    request: SearchRequest,
    roles: Roles,
    on_event: OnEvent = ignore_event,
    on_phase: OnPhase = ignore_phase,
) -> SearchResult:
    """Run one search to its end and return the best node found.

    `on_event` gets each event when it occurs, `on_phase` measures durations; neither may
    block. Lack of time or budget is not an error: the result says how the search ended. A step
    whose children all failed ends the search with the best node found before.

    Raises:
        EngineUnavailable: the engine is unavailable; raised at once.
        SparError: every child of a step failed and no node had been judged before.
    """
    return await _Search(request, roles, on_event, on_phase).run()


@dataclass(slots=True)
class _Shared:
    """A judgment that several nodes with the same text wait for."""

    task: asyncio.Task[Judgment]
    waiting: int = 0


class _Search:
    """One search: its tree, its usage, its budget and the calls that still run."""

    def __init__(
        self, request: SearchRequest, roles: Roles, on_event: OnEvent, on_phase: OnPhase
    ) -> None:
        self._request = request
        self._roles = roles
        self._emit = on_event
        self._on_phase = on_phase
        self._algorithm = ALGORITHMS[request.mode](request.options)
        self._tree = Tree(request.root)
        self._usage = Usage()
        self._count_tokens = count_into(self._usage)
        self._tokens_spent = asyncio.Event()
        self._shared: dict[Hashable, _Shared] = {}
        self._unfinished: dict[int, Delta] = {}
        self._judged = (
            self._algorithm.always_judged
            or bool(request.prompt.constraints)
            or request.root.kind is not NodeKind.PROMPT
        )
        # Only a token budget needs a report of every token.
        unlimited = request.budget.max_tokens is None
        self._actor, self._refiner = (
            CallContext(
                model=request.versions.served_name(role),
                priority=request.priority,
                chunk_tokens=WHOLE_CALL if unlimited else 1,
                on_delta=self._count,
            )
            for role in (Role.ACTOR, Role.REFINER)
        )

    async def run(self) -> SearchResult:
        """See `run_search`."""
        with prefix_affinity(self._request.prompt.messages):
            stop_reason = await self._run_within_limits()
        self._keep_unfinished_response()
        best = self._tree.best()
        if stop_reason is StopReason.EXHAUSTED and best is not None and best.accepted:
            stop_reason = StopReason.ACCEPTED
        if stop_reason is StopReason.ACCEPTED and best is not None:
            self._emit(NodeAccepted(best))
        return SearchResult(
            self._request, self._tree, best, stop_reason, self._usage, self._elapsed_ms
        )

    async def _run_within_limits(self) -> StopReason:
        """The whole search, cut off by its deadline or its token budget."""
        seconds = math.inf
        if self._request.budget.deadline_ms is not None:
            seconds = (self._request.budget.deadline_ms - self._elapsed_ms) / 1000
            if seconds <= 0:
                return StopReason.DEADLINE
        return await race(
            self._expand_all(), self._max_tokens_spent(), self._deadline_passed(seconds)
        )

    async def _max_tokens_spent(self) -> StopReason:
        await self._tokens_spent.wait()
        return StopReason.MAX_TOKENS

    async def _deadline_passed(self, seconds: float) -> StopReason:
        await asyncio.sleep(seconds)
        return StopReason.DEADLINE

    async def _expand_all(self) -> StopReason:
        """Expand step after step until a node ends the search or nothing is selected."""
        root, budget = self._tree.root, self._request.budget
        if root.kind is not NodeKind.PROMPT and root.judgment is None:
            root = await self._judge(root)
            if self._request.options.early_stop and root.accepted:
                return StopReason.ACCEPTED
        while selected := self._algorithm.select(self._tree, budget):
            allowed = selected
            if budget.max_nodes is not None:
                allowed = selected[: max(0, budget.max_nodes - len(self._tree.responses))]
            if allowed and (stop_reason := await self._expand_step(allowed)):
                return stop_reason
            if len(allowed) < len(selected):
                return StopReason.MAX_NODES
        return StopReason.EXHAUSTED

    async def _expand_step(self, parents: list[Node]) -> StopReason | None:
        """Expand these nodes at once; why the search ends with them, or None to continue.

        Waits while a child can still change the result. A failed child does not affect the
        others, except when the engine is unavailable.
        """
        early_stop = self._request.options.early_stop
        first_accepted_wins = early_stop and not self._algorithm.compares_values
        children: dict[asyncio.Task[Node], int] = {}
        for parent in parents:
            node_id = self._tree.reserve()
            children[asyncio.create_task(self._expand(node_id, parent))] = node_id
        pending = set(children)
        errors: list[SparError] = []
        try:
            while pending:
                done, pending = await asyncio.wait(pending, return_when="FIRST_COMPLETED")
                for task in sorted(done, key=children.__getitem__):
                    try:
                        node = task.result()
                    except EngineUnavailable:
                        raise
                    except SparError as error:
                        log.warning("a child of a search failed: %s", error.message)
                        errors.append(error)
                        continue
                    if first_accepted_wins and node.accepted:
                        return StopReason.ACCEPTED
                    if early_stop and _is_unbeatable(node):
                        later = {task for task in pending if children[task] > node.id}
                        pending -= later
                        await cancel_and_wait(*later)
        finally:
            await cancel_and_wait(*children)
        if len(errors) == len(children):
            if not any(node.judgment for node in self._tree):
                raise errors[0]
            return StopReason.EXHAUSTED
        won = early_stop and any(map(_is_unbeatable, self._tree))
        return StopReason.ACCEPTED if won else None

    async def _expand(self, node_id: int, parent: Node) -> Node:
        """Write the child of `parent` that gets this id, and judge it."""
        asked = self._request.sampling
        sampling = replace(
            asked,
            seed=derive_seed(asked.seed, node_id),
            max_tokens=self._clip(asked.max_tokens),
        )
        with self._on_phase(Phase.NODE, node_id):
            if parent.kind is NodeKind.PROMPT:
                with self._on_phase(Phase.RESPOND, node_id):
                    completion = await self._respond(node_id, sampling)
            else:
                with self._on_phase(Phase.REFINE, node_id):
                    completion = await self._refine(parent, sampling)
            clipped = sampling.max_tokens < asked.max_tokens
            node = self._add(
                node_id,
                parent,
                completion.text,
                completion.completion_tokens,
                partial=clipped and completion.finish_reason == "length",
            )
            if self._judged:
                node = await self._judge(node)
                assert node.judgment is not None, "it has just been judged"
                self._emit(NodeJudged(node, node.judgment))
            return node

    async def _respond(self, node_id: int, sampling: Sampling) -> Completion:
        streams = self._request.stream and not self._algorithm.always_judged
        self._unfinished[node_id] = Delta()

        def on_delta(delta: Delta) -> None:
            self._count(delta)
            before = self._unfinished[node_id]
            self._unfinished[node_id] = Delta(
                before.text + delta.text, before.completion_tokens + delta.completion_tokens
            )
            if streams and delta.text:
                self._emit(TextDelta(delta.text))

        context = replace(self._actor, on_delta=on_delta)
        if streams:
            context = replace(context, chunk_tokens=1, shown=True)
        completion = await self._roles.actor.respond(self._request.prompt, sampling, context)
        del self._unfinished[node_id]
        return completion

    async def _refine(self, parent: Node, sampling: Sampling) -> Completion:
        """Rewrite a judged response; a critique that its judgment lacks is written first."""
        prompt, text, judgment = self._request.prompt, parent.text, parent.judgment
        assert judgment is not None, "only judged nodes are expanded"
        options = self._judge_options(text)
        explained = await self._once(
            ("explain", text),
            lambda: self._roles.judge.explain(prompt, text, judgment, options, self._refiner),
        )
        if explained is not judgment:
            self._tree.judge(parent.id, explained)
        rewriting = replace(sampling, temperature=self._roles.refine_temperature)
        return await self._roles.refiner.refine(prompt, text, explained, rewriting, self._refiner)

    async def _judge(self, node: Node) -> Node:
        """The node with its judgment; nodes with the same text share one."""

        async def judge() -> Judgment:
            with self._on_phase(Phase.JUDGE, node.id):
                judgment = await self._roles.judge.judge(
                    self._request.prompt,
                    node.text,
                    self._judge_options(node.text),
                    self._refiner,
                    on_vote=self._count_vote,
                )
            self._usage.judgments += 1
            return judgment

        return self._tree.judge(node.id, await self._once(("judge", node.text), judge))

    def _judge_options(self, response: str) -> JudgeOptions:
        options = self._request.options
        # Where values are compared, a judgment needs all its votes.
        decision_is_enough = not self._algorithm.compares_values
        return JudgeOptions(
            votes=options.votes,
            accept_threshold=options.accept_threshold,
            early_stop=options.early_stop and decision_is_enough,
            # From the text: independent of which of several equal nodes comes first.
            seed=derive_seed(self._request.sampling.seed, "judgment", response),
            quick_verdict=options.quick_verdict if decision_is_enough else None,
            ties=options.ties,
        )

    async def _once(
        self, key: Hashable, work: Callable[[], Coroutine[Any, Any, Judgment]]
    ) -> Judgment:
        """The result of `work`, which runs once for each key while a node waits for it.

        A result is kept. An error is not: the next node with this key starts the work again. When
        every waiting node is cancelled, so is the work.
        """
        if key not in self._shared:
            self._shared[key] = _Shared(asyncio.create_task(work()))
        shared = self._shared[key]
        shared.waiting += 1
        try:
            return await asyncio.shield(shared.task)
        except SparError:
            if self._shared.get(key) is shared:
                del self._shared[key]
            raise
        finally:
            shared.waiting -= 1
            if shared.waiting == 0 and not shared.task.done():
                del self._shared[key]
                await cancel_and_wait(shared.task)

    def _add(
        self, node_id: int, parent: Node, text: str, completion_tokens: int, *, partial: bool
    ) -> Node:
        node = self._tree.add(
            node_id,
            parent,
            text,
            partial=partial,
            completion_tokens=completion_tokens,
            created_ms=self._elapsed_ms,
        )
        self._usage.nodes += 1
        self._usage.responses += node.kind is NodeKind.RESPONSE
        self._usage.refinements += node.kind is NodeKind.REFINEMENT
        self._emit(NodeCreated(node))
        return node

    def _keep_unfinished_response(self) -> None:
        """Make a partial node of the longest response that was cut off, if there is no other."""
        written = {key: part for key, part in self._unfinished.items() if part.text}
        if written and not self._tree.responses:
            node_id, part = max(written.items(), key=lambda item: len(item[1].text))
            self._add(node_id, self._tree.root, part.text, part.completion_tokens, partial=True)

    def _count(self, delta: Delta) -> None:
        """Add a call's progress to the usage; ends the search when the token budget is spent."""
        self._count_tokens(delta)
        max_tokens = self._request.budget.max_tokens
        if max_tokens is not None and self._usage.completion_tokens >= max_tokens:
            self._tokens_spent.set()

    def _count_vote(self) -> None:
        self._usage.votes += 1

    def _clip(self, max_tokens: int) -> int:
        """A call's length limit, no longer than what is left of the token budget."""
        if self._request.budget.max_tokens is None:
            return max_tokens
        left = self._request.budget.max_tokens - self._usage.completion_tokens
        return max(1, min(max_tokens, left))

    @property
    def _elapsed_ms(self) -> float:
        """Milliseconds since the request arrived."""
        return (time.monotonic() - self._request.started) * 1000


def _is_unbeatable(node: Node) -> bool:
    """No later node can rank higher: accepted by every vote (ties go to the earlier)."""
    return node.accepted and node.judgment is not None and node.judgment.value == 1.0
