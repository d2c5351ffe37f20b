"""Asks a server for searches and judgments, and reads what an experiment needs of them."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from pydantic import BaseModel

from app.constraints.checker import Checker
from app.domain.checkpoint import Role, Versions
from app.domain.options import Mode
from app.domain.prompt import Prompt
from app.domain.sampling import derive_seed
from app.evaluation.asking import BACKGROUND, constraint_values, message_values
from app.evaluation.base import Item
from app.evaluation.http import Server
from app.evaluation.reproduce.journal import Row
from app.evaluation.reproduce.trees import Grown, Growth

GIVEN = "given"
"""In a row of `Searcher.repair`: how many of the responses both judges rejected."""


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


class _Vote(BaseModel):
    verdict: bool
    probability: float


class _Judgment(BaseModel):
    votes: list[_Vote]
    first_look: float | None


@dataclass(frozen=True, slots=True)
class Asked:
    """What every search of an experiment has in common.

    search, sampling: as the server takes them. nodes: the budget of generations of each search.
    with_constraints: the search is told the constraints that the checkers judge by.
    """

    versions: Versions
    modes: tuple[Mode, ...]
    search: Mapping[str, Any]
    sampling: Mapping[str, Any]
    nodes: int
    seed: int
    with_constraints: bool = False
    responses: int = 5


@dataclass(frozen=True, slots=True)
class Searcher:
    """Grows trees on a server. Its methods raise what `Server.post` raises."""

    server: Server
    checker: Checker
    asked: Asked

    async def answer(self, item: Item) -> Row:
        """A tree for each mode, grown from the prompt."""
        return await self._grow_all(item, None)

    async def repair(self, item: Item) -> Row:
        """A tree for each mode, grown from the same rejected response.

        The response is drawn from those that the refiner and the checkers both reject, so that
        every mode begins at nothing with either judge. Where there is none, there are no trees.
        """
        sampled = await self._search(item, Mode.BEST_OF_N, None, self.asked.responses)
        passed = await self._passed(item.prompt, sampled)
        rejected = [
            node.text
            for node in sampled.tree
            if node.kind != "prompt" and not node.accepted and not passed[node.id]
        ]
        if not rejected:
            return {GIVEN: 0}
        draw = Random(derive_seed(self.asked.seed, item.key, "rejected"))
        return {GIVEN: len(rejected), **await self._grow_all(item, draw.choice(rejected))}

    async def _grow_all(self, item: Item, given: str | None) -> Row:
        growths = await asyncio.gather(
            *(self._grow(item, mode, given) for mode in self.asked.modes)
        )
        return {
            mode.value: growth.to_values()
            for mode, growth in zip(self.asked.modes, growths, strict=True)
        }

    async def _grow(self, item: Item, mode: Mode, given: str | None) -> Growth:
        search = await self._search(item, mode, given, self.asked.nodes)
        passed = await self._passed(item.prompt, search)
        nodes = [
            Grown(
                id=node.id,
                accepted=node.accepted,
                value=node.value or 0.0,
                satisfied=_share([one.satisfied for one in node.constraints]),
                passed=passed[node.id],
            )
            for node in search.tree
            if node.kind != "prompt"
        ]
        return Growth(tuple(nodes), search.usage.completion_tokens)

    async def _search(self, item: Item, mode: Mode, given: str | None, nodes: int) -> _Search:
        asked = self.asked
        sampling = dict(asked.sampling)
        if mode is Mode.GREEDY and given is None:
            # Greedy answers are not judged; the best of one is the same answer, judged.
            mode, nodes, sampling = Mode.BEST_OF_N, 1, sampling | {"temperature": 0.0, "top_p": 1.0}
        body: dict[str, Any] = {
            "model": f"{asked.versions.served_name(Role.ACTOR)}:{mode}",
            "messages": message_values(item.prompt.messages),
            "checkpoint": {"refiner": asked.versions.refiner},
            "search": {**asked.search, "n": nodes},
            "budget": {"max_nodes": nodes},
            "priority": BACKGROUND,
            # The same for all modes, so that they judge the same response alike.
            "seed": derive_seed(asked.seed, item.key),
            "include_tree": True,
            **sampling,
        }
        if mode is Mode.ITERATIVE:
            # One node a level: it takes that many levels to spend the same budget.
            body["search"]["depth"] = nodes
        if given is not None:
            body["response"] = given
        if asked.with_constraints:
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


@dataclass(frozen=True, slots=True)
class Polls:
    """Has a refiner vote on labelled pairs, and look at them first."""

    server: Server
    refiner: int
    votes: int
    gate: float
    seed: int

    async def ask(self, item: Item) -> Row:
        """The ballots of both responses. Raises what `Server.post` raises."""
        assert item.pair is not None, "an item to vote on has two responses"
        assert item.better is not None, "and says which is better"
        better, worse = item.pair[item.better], item.pair[1 - item.better]
        return {
            "better": await self._ballot(item, better),
            "worse": await self._ballot(item, worse),
        }

    async def _ballot(self, item: Item, response: str) -> Row:
        votes = (await self._judge(item, response, self.votes, look=False)).votes
        # Where the look is not clear one vote is cast besides, and not used.
        look = (await self._judge(item, response, 1, look=True)).first_look
        return {
            "verdicts": [vote.verdict for vote in votes],
            "probabilities": [vote.probability for vote in votes],
            "look": look or 0.0,
        }

    async def _judge(self, item: Item, response: str, votes: int, *, look: bool) -> _Judgment:
        body = {
            "messages": message_values(item.prompt.messages),
            "response": response,
            "search": {
                "votes": votes,
                "gate": self.gate,
                "early_stop": False,
                "first_look": look,
            },
            "checkpoint": {"refiner": self.refiner},
            "seed": derive_seed(self.seed, item.key, "votes"),
        }
        return await self.server.post(_Judgment, "/judge", body)


def _share(results: list[bool]) -> float:
    return sum(results) / len(results) if results else 1.0
