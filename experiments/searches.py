"""Experiments made of searches: refinement (Tables 3 and 10), scaling (Figure 5)."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from random import Random
from typing import Any

from pydantic import BaseModel

from app.constraints.checker import Checker
from app.domain.checkpoint import Role, Versions
from app.domain.prompt import Prompt
from app.domain.search import Mode, derive_seed
from app.evaluation.asking import BACKGROUND, constraint_values, message_values
from app.evaluation.base import Item
from app.evaluation.data import Data
from app.evaluation.http import Server
from experiments.context import Context, Row
from experiments.report import Facts, Report
from experiments.trees import (
    Node,
    Tree,
    accuracy_plots,
    accuracy_tables,
    given_rejected,
    mode_table,
    trees_of,
)

REFINEMENT_MODES = tuple(Mode)
SCALING_MODES = (Mode.GREEDY, Mode.BEST_OF_N, Mode.BFS, Mode.DFS)

GIVEN = "given"
"""In a row of `Searcher.repair`: the number of responses that both judges rejected."""


class _Constraint(BaseModel):
    satisfied: bool


class _Node(BaseModel):
    id: int
    kind: str
    text: str
    value: float | None
    accepted: bool
    constraints: list[_Constraint]


class _Usage(BaseModel):
    completion_tokens: int


class _Search(BaseModel):
    usage: _Usage
    tree: list[_Node]


class _Chat(BaseModel):
    search: _Search


@dataclass(frozen=True, slots=True)
class SearchPlan:
    """The options that all searches of an experiment share.

    search, sampling: the fields of a request. nodes: the most generations of each search.
    with_constraints: requests contain the constraints by which the checkers judge. responses: the
    number of sampled responses from which a rejected one is drawn.
    """

    versions: Versions
    modes: tuple[Mode, ...]
    search: Mapping[str, Any]
    sampling: Mapping[str, Any]
    nodes: int
    seed: int
    with_constraints: bool = False
    responses: int = 5

    def facts(self) -> dict[str, str]:
        """The plan, for a report."""
        search = ", ".join(f"{name} {value}" for name, value in self.search.items())
        return {
            "checkpoints": f"actor@{self.versions.actor}, refiner@{self.versions.refiner}",
            "search": f"{search}; at most {self.nodes} generations each",
            "sampling": ", ".join(f"{name} {value}" for name, value in self.sampling.items()),
            "constraints": "sent along" if self.with_constraints else "not sent",
        }


@dataclass(frozen=True, slots=True)
class Searcher:
    """Runs searches on a server. Its methods raise what `Server.post` raises."""

    server: Server
    checker: Checker
    plan: SearchPlan

    async def answer(self, item: Item) -> Row:
        """A tree of each mode, searched from the prompt."""
        return await self._search_all(item, None)

    async def repair(self, item: Item) -> Row:
        """A tree of each mode, searched from the same rejected response.

        The response is drawn from those that the refiner and the checkers both reject, so that
        every mode starts with an accuracy of 0 by either judge. Without such a response the row
        has no trees.
        """
        sampled = await self._search(item, Mode.BEST_OF_N, None, self.plan.responses)
        passed = await self._passed(item.prompt, sampled)
        rejected = [
            node.text
            for node in sampled.tree
            if node.kind != "prompt" and not node.accepted and not passed[node.id]
        ]
        if not rejected:
            return {GIVEN: 0}
        draw = Random(derive_seed(self.plan.seed, item.key, "rejected"))
        return {GIVEN: len(rejected), **await self._search_all(item, draw.choice(rejected))}

    async def _search_all(self, item: Item, given: str | None) -> Row:
        trees = await asyncio.gather(*(self._tree(item, mode, given) for mode in self.plan.modes))
        return {
            mode.value: tree.to_values() for mode, tree in zip(self.plan.modes, trees, strict=True)
        }

    async def _tree(self, item: Item, mode: Mode, given: str | None) -> Tree:
        search = await self._search(item, mode, given, self.plan.nodes)
        passed = await self._passed(item.prompt, search)
        nodes = [
            Node(
                id=node.id,
                accepted=node.accepted,
                value=node.value or 0.0,
                satisfied=_share([one.satisfied for one in node.constraints]),
                passed=passed[node.id],
            )
            for node in search.tree
            if node.kind != "prompt"
        ]
        return Tree(tuple(nodes), search.usage.completion_tokens)

    async def _search(self, item: Item, mode: Mode, given: str | None, nodes: int) -> _Search:
        plan = self.plan
        sampling = dict(plan.sampling)
        if mode is Mode.GREEDY and given is None:
            # `greedy` does not judge; best-of-1 at temperature 0 is the same answer, judged.
            mode, nodes, sampling = Mode.BEST_OF_N, 1, sampling | {"temperature": 0.0, "top_p": 1.0}
        body: dict[str, Any] = {
            "model": f"{plan.versions.served_name(Role.ACTOR)}:{mode}",
            "messages": message_values(item.prompt.messages),
            "checkpoint": {"refiner": plan.versions.refiner},
            "search": {**plan.search, "n": nodes},
            "budget": {"max_nodes": nodes},
            "priority": BACKGROUND,
            # The same for all modes, so that they judge the same response in the same way.
            "seed": derive_seed(plan.seed, item.key),
            "include_tree": True,
            **sampling,
        }
        if mode is Mode.ITERATIVE:
            # One node per level: the same budget needs as many levels as nodes.
            body["search"]["depth"] = nodes
        if given is not None:
            body["response"] = given
        if plan.with_constraints:
            body["constraints"] = constraint_values(item.prompt)
        return (await self.server.post(_Chat, "/v1/chat/completions", body)).search

    async def _passed(self, prompt: Prompt, search: _Search) -> dict[int, bool]:
        """Whether each response of the tree meets every constraint, by node."""
        found = {}
        for node in search.tree:
            if node.kind != "prompt":
                results = await self.checker.check(prompt, node.text)
                found[node.id] = all(result.satisfied for result in results)
        return found


async def refinement_experiment(context: Context, data: Data, plan: SearchPlan) -> Report:
    """Tables 3 and 10: each mode repairs the same rejected responses, with the same budget."""
    rows = await _rows(context, data, plan, repairing=True)
    trees = trees_of(rows, plan.modes)
    rejected = given_rejected(trees)
    repaired, left = len(trees[plan.modes[0]]), len(rejected[plan.modes[0]])
    return Report(
        name="refinement",
        title="Repairing rejected responses",
        shows="SPaR's Tables 3 and 10: how often each search mode repairs a response.",
        facts=_facts(context, data, plan),
        tables=[mode_table("Repaired, by mode", rejected, plan.modes[0])],
        notes=[
            f"Of {len(rows)} prompts, {sum(row[GIVEN] > 0 for row in rows)} had a response"
            " that the refiner and the checkers both rejected; every mode repairs the same one.",
            f"{repaired - left} of them the refiner accepted when it judged them again: they are"
            " excluded for every mode.",
            *_notes(plan),
        ],
    )


async def scaling_experiment(context: Context, data: Data, plan: SearchPlan) -> Report:
    """Figure 5: accuracy after 1, 2, ... generations, read from the trees of each mode."""
    rows = await _rows(context, data, plan, repairing=False)
    trees = trees_of(rows, plan.modes)
    return Report(
        name="scaling",
        title="Accuracy by number of generations",
        shows="SPaR's Figure 5: the effect of more generations, by search mode.",
        facts=_facts(context, data, plan),
        tables=[
            mode_table("At the end", trees, plan.modes[0]),
            *accuracy_tables(trees, plan.nodes),
        ],
        plots=accuracy_plots("scaling", trees, plan.nodes),
        notes=[
            "Each search ran once. After k generations its answer is the best of its first k"
            " nodes; a search that has ended keeps its answer.",
            *_notes(plan),
        ],
    )


async def _rows(
    context: Context, data: Data, plan: SearchPlan, *, repairing: bool
) -> Sequence[Row]:
    searcher = Searcher(context.server, context.checker, plan)
    ask = searcher.repair if repairing else searcher.answer
    # Without the limit: a higher limit continues the journal of a lower one.
    journal = context.journal({"digest": data.digest, "repairing": repairing, **asdict(plan)})
    return list((await context.collect(journal, data, ask)).values())


def _facts(context: Context, data: Data, plan: SearchPlan) -> Facts:
    return context.options.facts(prompts=data.file.name, **plan.facts())


def _notes(plan: SearchPlan) -> Sequence[str]:
    return [
        "Requests contained the constraints, and so the checks by which answers are scored."
        if plan.with_constraints
        else "Requests did not contain the constraints: only the search's own refiner judged.",
        "The checkers accept an answer that meets all constraints of its prompt and does not only"
        " repeat the prompt. Where the refiner judges near chance, its own value says little.",
    ]


def _share(results: list[bool]) -> float:
    return sum(results) / len(results) if results else 1.0
