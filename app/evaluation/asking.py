"""The requests for one row: an answer by search, a judgment, a comparison of two responses."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from app.concurrency import gather_or_cancel
from app.domain.checkpoint import Role
from app.domain.evaluation import EvaluationPlan
from app.domain.prompt import Message, Prompt
from app.domain.search import derive_seed
from app.evaluation.base import Item, RowOutcome, Task, Verdicts
from app.evaluation.http import Server
from app.evaluation.llmbar import comparison_messages, read_preference
from app.replies import ChatReply, JudgeReply, UsageReply

BACKGROUND = 1
"""Priority behind user requests (0); requests with it never enter the prompt pool of self-play."""
COMPARISON_TOKENS = 256


class Asker:
    """Makes a plan's requests for items."""

    def __init__(self, server: Server, plan: EvaluationPlan) -> None:
        self._server = server
        self._plan = plan

    async def ask(self, item: Item, task: Task) -> RowOutcome:
        """The outcome of an item.

        Raises:
            ServerGone: The server stayed unavailable.
            RunRefused: The server rejects what all rows have in common.
            RowRefused: The server rejects this row.
        """
        started = time.monotonic()
        outcome = await (self._prefer(item) if task is Task.PREFER else self._answer(item))
        return replace(outcome, seconds=time.monotonic() - started)

    def answer_body(self, item: Item) -> dict[str, Any]:
        """The request for an answer, as JSON-able values."""
        plan = self._plan
        body: dict[str, Any] = {
            "model": f"{plan.versions.served_name(Role.ACTOR)}:{plan.mode}",
            "messages": message_values(item.prompt.messages),
            "checkpoint": {"refiner": plan.versions.refiner},
            "search": plan.options["search"],
            "budget": plan.options["budget"],
            "priority": BACKGROUND,
            "seed": self._seed(item, "answer"),
            **plan.options["sampling"],
        }
        if plan.with_constraints:
            body["constraints"] = constraint_values(item.prompt)
        return body

    async def _answer(self, item: Item) -> RowOutcome:
        chat = await self._server.post(ChatReply, "/v1/chat/completions", self.answer_body(item))
        text, search = chat.text, chat.search
        usages = [chat.usage if search is None else search.usage]
        accepted, value = (None, None) if search is None else (search.accepted, search.value)
        if item.extra.get("judged"):
            # A separate judgment in every mode: the search's own is biased, because it chose the
            # best of many by it, and greedy decoding has none.
            judgment = await self._judge(item, text)
            usages.append(judgment.usage)
            accepted, value = judgment.accepted, judgment.value
        return RowOutcome(
            response=text,
            accepted=accepted,
            value=value,
            search_id=None if search is None else search.id,
            prompt_tokens=sum(usage.prompt_tokens for usage in usages),
            completion_tokens=sum(usage.completion_tokens for usage in usages),
        )

    async def _prefer(self, item: Item) -> RowOutcome:
        assert item.pair is not None, "an item to compare has two responses"
        first, second = item.pair
        judging = [asyncio.create_task(self._judge(item, text)) for text in item.pair]
        straight = asyncio.create_task(self._compare(item, first, second))
        turned = asyncio.create_task(self._compare(item, second, first))
        await gather_or_cancel(*judging, straight, turned)
        judgments = [task.result() for task in judging]
        usages = [judgment.usage for judgment in judgments]
        usages += [straight.result()[1], turned.result()[1]]
        turned_choice = turned.result()[0]
        verdicts = Verdicts(
            values=(_value(judgments[0]), _value(judgments[1])),
            accepted=(judgments[0].accepted, judgments[1].accepted),
            preferred=(
                straight.result()[0],
                None if turned_choice is None else 1 - turned_choice,
            ),
        )
        return RowOutcome(
            verdicts=verdicts,
            prompt_tokens=sum(usage.prompt_tokens for usage in usages),
            completion_tokens=sum(usage.completion_tokens for usage in usages),
        )

    async def _judge(self, item: Item, response: str) -> JudgeReply:
        search = self._plan.options["search"]
        body = {
            "messages": message_values(item.prompt.messages),
            "response": response,
            "search": {"votes": search["votes"], "accept_threshold": search["accept_threshold"]},
            "checkpoint": {"refiner": self._plan.versions.refiner},
            "seed": self._seed(item, "judge"),
        }
        return await self._server.post(JudgeReply, "/judge", body)

    async def _compare(self, item: Item, first: str, second: str) -> tuple[int | None, UsageReply]:
        messages = comparison_messages(item.prompt.instruction, first, second)
        body = {
            "model": self._plan.versions.served_name(Role.REFINER),
            "messages": message_values(messages),
            "temperature": 0.0,
            "max_tokens": COMPARISON_TOKENS,
            "priority": BACKGROUND,
        }
        chat = await self._server.post(ChatReply, "/v1/chat/completions", body)
        return read_preference(chat.text), chat.usage

    def _seed(self, item: Item, what: str) -> int | None:
        return derive_seed(self._plan.seed, item.key, what)


def _value(judgment: JudgeReply) -> float:
    return float(judgment.accepted) if judgment.value is None else judgment.value


def message_values(messages: Sequence[Message]) -> list[dict[str, str]]:
    """The messages as JSON-able values of a request."""
    return [asdict(message) for message in messages]


def constraint_values(prompt: Prompt) -> list[dict[str, Any]]:
    """A prompt's constraints as JSON-able values of a request."""
    return [{"id": one.id, "kwargs": dict(one.kwargs)} for one in prompt.constraints]
