"""A tree search as published reference code does it: one call at a time over HTTP.

The same tree, prompts and openings as this project's; all votes on a node are one request with
`n`. No search makes a second call before its first one is answered.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from app.domain.judgment import Judgment, Vote
from app.domain.prompt import Message, Prompt
from app.roles.judge import VERDICT_LINE, judge_messages
from app.roles.refiner import OPENING, refine_messages
from benchmarks.rivals.clients.protocol import Ask, Job, Question, work

BRANCH, BEAM, DEPTH, VOTES, GATE = 3, 2, 3, 5, 0.5
RESPONSE_TEMPERATURE, VOTE_TEMPERATURE, REFINE_TEMPERATURE = 0.9, 0.7, 0.7


@dataclass(frozen=True, slots=True)
class Shape:
    """The tree, and the votes on each of its nodes."""

    branch: int = BRANCH
    beam: int = BEAM
    depth: int = DEPTH
    votes: int = VOTES


SHAPE = Shape()


@dataclass(frozen=True, slots=True)
class Node:
    """A response and its judgment."""

    text: str
    judgment: Judgment

    @property
    def value(self) -> float:
        """The share of yes votes."""
        return sum(vote.verdict for vote in self.judgment.votes) / len(self.judgment.votes)


@asynccontextmanager
async def searching(job: Job) -> AsyncIterator[Ask]:
    """Every question is searched by itself."""
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=job.url, timeout=None, limits=limits) as client:

        async def ask(question: Question, _: int) -> str:
            messages = (Message("system", question.system), Message("user", question.user))
            return await Search(client, job, Prompt(messages)).run()

        yield ask


class Search:
    """One breadth-first search; it ends with the first level that has an accepted node."""

    def __init__(
        self, client: httpx.AsyncClient, job: Job, prompt: Prompt, shape: Shape = SHAPE
    ) -> None:
        self._client = client
        self._job = job
        self._prompt = prompt
        self._shape = shape

    async def run(self) -> str:
        """The best node's text; of equals the earliest."""
        level = [await self.judged(await self.respond()) for _ in range(self._shape.branch)]
        return await self._grow(level, self._shape.depth - 1)

    async def repair(self, rejected: Node) -> str:
        """The best text of a tree that begins with a judged response and is `depth` deep."""
        return await self._grow([rejected], self._shape.depth)

    async def respond(self) -> str:
        """A response to the prompt."""
        return await self._text(
            "actor", self._prompt.messages, self._job.response_tokens, RESPONSE_TEMPERATURE
        )

    async def judged(self, text: str) -> Node:
        """A text with its votes, which are one request."""
        question = judge_messages(self._prompt, text)
        critiques = await self._texts(
            "refiner",
            question,
            self._job.judgment_tokens,
            VOTE_TEMPERATURE,
            n=self._shape.votes,
            stop=["Verdict:"],
        )
        votes = [await self._vote(question, critique.strip()) for critique in critiques]
        return Node(text, Judgment(tuple(votes), (), GATE))

    async def _grow(self, level: list[Node], levels: int) -> str:
        nodes = list(level)
        for _ in range(levels):
            if any(node.value > GATE for node in level):
                break
            parents = sorted(level, key=lambda node: -node.value)[: self._shape.beam]
            level = [
                await self._refine(node) for node in parents for _ in range(self._shape.branch)
            ]
            nodes += level
        return max(nodes, key=lambda node: node.value).text

    async def _refine(self, node: Node) -> Node:
        request = refine_messages(self._prompt, node.text, node.judgment)
        opened = (*request, Message("assistant", OPENING))
        text = await self._text("refiner", opened, self._job.response_tokens, REFINE_TEMPERATURE)
        return await self.judged(text.strip())

    async def _vote(self, question: tuple[Message, ...], critique: str) -> Vote:
        """The verdict is one sampled token after the same line that this project writes.

        Forced work has no verdicts: they would not be part of the equal token work.
        """
        verdict = False
        if not self._job.forced:
            opened = (*question, Message("assistant", critique + VERDICT_LINE))
            word = await self._text("refiner", opened, 1, VOTE_TEMPERATURE)
            verdict = word.strip().lower() == "yes"
        return Vote(verdict, float(verdict), critique)

    async def _text(
        self, model: str, messages: Sequence[Message], max_tokens: int, temperature: float
    ) -> str:
        return (await self._texts(model, messages, max_tokens, temperature))[0]

    async def _texts(
        self,
        model: str,
        messages: Sequence[Message],
        max_tokens: int,
        temperature: float,
        **more: Any,
    ) -> list[str]:
        body = {
            "model": model,
            "messages": [{"role": m.role, "content": m.content} for m in messages],
            "max_tokens": max_tokens,
            "temperature": temperature,
            **more,
        }
        response = await self._client.post("/v1/chat/completions", json=body)
        response.raise_for_status()
        return [str(choice["message"]["content"]) for choice in response.json()["choices"]]


if __name__ == "__main__":
    work(searching)
