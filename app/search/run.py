"""The driver of every search: it alone awaits, spends the budget, and ends what still runs.

A search expands what its algorithm selects, all at once. Expanding the root means that the
actor responds, expanding any other node means that the refiner rewrites that node's response.
Each child is judged the moment it exists. Whatever ends the search (an accepted node, the
budget, the deadline, a client that went away) cancels every call still running in the engine.
"""

import asyncio
import logging
import math
import time
from collections.abc import Callable, Coroutine, Hashable
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from app.concurrency import cancel_and_wait, race
from app.domain.checkpoint import Role, served_name
from app.domain.judgment import Judgment
from app.domain.search import Budget, Mode, Sampling, StopReason, Usage, derive_seed
from app.domain.tree import Node, NodeKind, Tree
from app.engine.base import Completion, Delta, prefix_affinity
from app.errors import EngineUnavailable, SparError
from app.roles.actor import Actor
from app.roles.judge import Judge, JudgeCall
from app.roles.refiner import Refiner
from app.search.algorithms import algorithm_for
from app.search.base import (
    Algorithm,
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

WHOLE_CALL = 1_000_000


class TokenBudget:
    """Adds every call's progress to the usage and says when the token budget is spent."""

    def __init__(self, usage: Usage, max_tokens: int | None) -> None:
        self._usage = usage
        self._max_tokens = max_tokens
        self.spent = asyncio.Event()

    def __call__(self, delta: Delta) -> None:
        """Count one delta; sets `spent` once `max_tokens` completion tokens are reached."""
        self._usage.prompt_tokens += delta.prompt_tokens
        self._usage.completion_tokens += delta.completion_tokens
        if self._max_tokens is not None and self._usage.completion_tokens >= self._max_tokens:
            self.spent.set()

    @property
    def chunk_tokens(self) -> int:
        """How often calls must report: every token under a token budget, else at their end."""
        return WHOLE_CALL if self._max_tokens is None else 1

    def clip(self, max_tokens: int) -> int:
        """A call's length limit, no longer than what is left of the budget."""
        if self._max_tokens is None:
            return max_tokens
        return max(1, min(max_tokens, self._max_tokens - self._usage.completion_tokens))


Result = TypeVar("Result")


@dataclass(slots=True)
class _Shared(Generic[Result]):
    task: asyncio.Task[Result]
    waiters: int = 0


class SingleFlight(Generic[Result]):
    """Runs the work of each key once, as long as somebody still waits for it.

    A result is kept, an error is not: who asks after it has failed has the work done again.
    """

    def __init__(self) -> None:
        self._shared: dict[Hashable, _Shared[Result]] = {}

    async def get(self, key: Hashable, work: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
        """The result of `work` for `key`, started by the first who asks.

        When every waiter is cancelled the work is cancelled too.
        """
        if key not in self._shared:
            self._shared[key] = _Shared(asyncio.create_task(work()))
        shared = self._shared[key]
        shared.waiters += 1
        try:
            return await asyncio.shield(shared.task)
        except Exception:
            if self._shared.get(key) is shared:
                del self._shared[key]
            raise
        finally:
            shared.waiters -= 1
            if shared.waiters == 0 and not shared.task.done():
                del self._shared[key]
                shared.task.cancel()
                await asyncio.wait({shared.task})


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
        self._judgments: SingleFlight[Judgment] = SingleFlight()
        self._explained: SingleFlight[Judgment] = SingleFlight()
        self._unfinished: dict[int, Delta] = {}
        self.usage = Usage()
        self.token_budget = TokenBudget(self.usage, request.budget.max_tokens)

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
            self.token_budget(delta)
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
            chunk_tokens=1 if streams else self.token_budget.chunk_tokens,
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
            chunk_tokens=self.token_budget.chunk_tokens,
            on_delta=self.token_budget,
        )

    async def _explain(self, parent: Node) -> Judgment:
        """The judgment to rewrite from; a critique that it still lacks is written now, once."""
        assert parent.judgment is not None, "only judged nodes are expanded"
        found, text = parent.judgment, parent.text

        async def explain() -> Judgment:
            return await self._roles.judge.explain(
                self._request.prompt, text, found, self._how(text), on_delta=self.token_budget
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
                on_delta=self.token_budget,
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
            accept_threshold=options.accept_threshold,
            early_stop=options.early_stop and decision_is_enough,
            # From the text, so that it does not matter which of several equal nodes asks first.
            seed=derive_seed(self._request.sampling.seed, "judgment", response),
            priority=self._request.priority,
            chunk_tokens=self.token_budget.chunk_tokens,
            quick_verdict=options.quick_verdict if decision_is_enough else None,
            ties=options.ties,
        )

    def _count_vote(self) -> None:
        self.usage.votes += 1

    def _sampling(self, node_id: int) -> Sampling:
        sampling = self._request.sampling
        return replace(
            sampling,
            seed=derive_seed(sampling.seed, node_id),
            max_tokens=self.token_budget.clip(sampling.max_tokens),
        )


log = logging.getLogger(__name__)


async def run_search(
    request: SearchRequest,
    roles: Roles,
    on_event: OnEvent = ignore_event,
    on_phase: OnPhase = ignore_phase,
) -> SearchResult:
    """Run one search to its end and return the best node found.

    `on_event` is told what happens as it happens, `on_phase` how long it takes; neither may
    block. Lack of time or budget is not an error: the result says how the search ended. A step of
    which every child failed ends the search with what it had before; with nothing judged before,
    it raises the engine's error. Raises `EngineUnavailable` at once when the engine is gone.
    """
    tree = Tree(request.root)
    expander = Expander(request, roles, tree, on_event, on_phase)
    search = _Search(request, tree, expander)
    with prefix_affinity(request.prompt.messages):
        stop_reason = await search.run_within_limits()
    expander.keep_unfinished_response()
    best = tree.best()
    if stop_reason is StopReason.EXHAUSTED and best is not None and best.accepted:
        stop_reason = StopReason.ACCEPTED
    if stop_reason is StopReason.ACCEPTED and best is not None:
        on_event(NodeAccepted(best))
    return SearchResult(request, tree, best, stop_reason, expander.usage, expander.elapsed_ms)


class _Search:
    def __init__(self, request: SearchRequest, tree: Tree, expander: Expander) -> None:
        self._budget = request.budget
        self._algorithm: Algorithm = algorithm_for(request.mode, request.options)
        self._early_stop = request.options.early_stop
        self._first_accepted_wins = self._early_stop and self._algorithm.first_accepted_wins
        self._tree = tree
        self._expander = expander

    async def run_within_limits(self) -> StopReason:
        """The whole search, cut off by its deadline or its token budget."""
        seconds = math.inf
        if self._budget.deadline_ms is not None:
            seconds = (self._budget.deadline_ms - self._expander.elapsed_ms) / 1000
            if seconds <= 0:
                return StopReason.DEADLINE
        return await race(
            self._expand_all(), self._max_tokens_spent(), self._deadline_passed(seconds)
        )

    async def _max_tokens_spent(self) -> StopReason:
        await self._expander.token_budget.spent.wait()
        return StopReason.MAX_TOKENS

    async def _deadline_passed(self, seconds: float) -> StopReason:
        await asyncio.sleep(seconds)
        return StopReason.DEADLINE

    async def _expand_all(self) -> StopReason:
        """Expand selection after selection until a node ends the search or none is left."""
        root = self._tree.root
        if root.kind is not NodeKind.PROMPT and root.judgment is None:
            given = await self._expander.judge_given()
            if self._early_stop and given.accepted:
                return StopReason.ACCEPTED
        while wanted := self._algorithm.select(self._tree, Budget()):
            selected = self._algorithm.select(self._tree, self._budget)
            if selected and (stop_reason := await self._expand_step(selected)):
                return stop_reason
            if len(selected) < len(wanted):
                return StopReason.MAX_NODES
        return StopReason.EXHAUSTED

    async def _expand_step(self, selected: list[Node]) -> StopReason | None:
        """Expand these nodes at once; why the search ends with them, or None to go on."""
        children: dict[asyncio.Task[Node], int] = {}
        for parent in selected:
            node_id = self._tree.reserve()
            children[asyncio.create_task(self._expander.expand(node_id, parent))] = node_id
        try:
            return await self._watch(children)
        finally:
            await cancel_and_wait(*children)

    async def _watch(self, children: dict[asyncio.Task[Node], int]) -> StopReason | None:
        """Wait for the children of a step, as long as one of them can still matter.

        A failed child only costs that child, except when the engine is gone.
        """
        pending = set(children)
        errors: list[SparError] = []
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
                if self._first_accepted_wins and node.accepted:
                    return StopReason.ACCEPTED
                if self._early_stop and _is_unbeatable(node):
                    later = {task for task in pending if children[task] > node.id}
                    pending -= later
                    await cancel_and_wait(*later)
        if len(errors) == len(children):
            return self._end_failed_step(errors[0])
        won = self._early_stop and any(map(_is_unbeatable, self._tree))
        return StopReason.ACCEPTED if won else None

    def _end_failed_step(self, error: SparError) -> StopReason:
        """Nothing more can be made: keep what was judged before, or fail where there is none."""
        if not any(node.judgment for node in self._tree):
            raise error
        return StopReason.EXHAUSTED


def _is_unbeatable(node: Node) -> bool:
    """No later node can rank higher: accepted by every vote (ties go to the earlier)."""
    return node.accepted and node.judgment is not None and node.judgment.value == 1.0
