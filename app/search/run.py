"""The driver of every search: it alone awaits, spends the budget, and ends what still runs.

A search expands what its algorithm selects, all at once. Expanding the root means that the
actor responds, expanding any other node means that the refiner rewrites that node's response.
Each child is judged the moment it exists. Whatever ends the search (an accepted node, the
budget, the deadline, a client that went away) cancels every call still running in the engine.
"""

import asyncio
import logging

from app.domain.budget import Budget, StopReason
from app.domain.tree import Node, NodeKind, Tree
from app.engine.affinity import one_place_for
from app.errors import EngineUnavailable, SparError
from app.search.algorithms import algorithm_for
from app.search.base import (
    Algorithm,
    NodeAccepted,
    OnEvent,
    OnPhase,
    SearchRequest,
    SearchResult,
    ignore_event,
    ignore_phase,
)
from app.search.expand import Expander, Roles

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
    with one_place_for(request.prompt.messages):
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
        seconds = None
        if self._budget.deadline_ms is not None:
            seconds = (self._budget.deadline_ms - self._expander.elapsed_ms) / 1000
            if seconds <= 0:
                return StopReason.DEADLINE
        search = asyncio.create_task(self._expand_all())
        spent = asyncio.create_task(self._expander.meter.spent.wait())
        try:
            await asyncio.wait({search, spent}, timeout=seconds, return_when="FIRST_COMPLETED")
            if search.done():
                return search.result()
            return StopReason.MAX_TOKENS if spent.done() else StopReason.DEADLINE
        finally:
            await _cancel(search, spent)

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
            await _cancel(*children)

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
                    await _cancel(*later)
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


async def _cancel(*tasks: asyncio.Task[object]) -> None:
    """Cancel what still runs, and wait until it has let go of the engine."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
