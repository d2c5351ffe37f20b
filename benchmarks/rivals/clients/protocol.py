"""The protocol of a contender's process: a JSON object per line, in and out.

Only the standard library: this module also runs in the peers' own environments.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict, dataclass, field
from typing import Any, TextIO


@dataclass(frozen=True)
class Question:
    """What is asked: a system and a user message, and what a program checks in the answer."""

    system: str
    user: str
    constraints: list[dict[str, Any]] = field(default_factory=list)

    @property
    def messages(self) -> list[dict[str, str]]:
        """Both messages as OpenAI's endpoints take them."""
        return [
            {"role": "system", "content": self.system},
            {"role": "user", "content": self.user},
        ]


@dataclass(frozen=True)
class Job:
    """Questions to answer, `at_once` at any time.

    url: the server. forced: every text runs to its full length and every verdict counts as no.
    response_tokens, judgment_tokens: length limits. options: what else the contender needs.
    """

    url: str
    at_once: int
    forced: bool
    response_tokens: int
    judgment_tokens: int
    questions: list[Question]
    options: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def from_json(cls, text: str) -> "Job":
        """What `to_json` gave."""
        fields = json.loads(text)
        questions = [Question(**question) for question in fields.pop("questions")]
        return cls(questions=questions, **fields)

    def to_json(self) -> str:
        """In one line."""
        return json.dumps(asdict(self))


@dataclass(frozen=True)
class Answer:
    """A text, and the seconds from the question to it."""

    text: str
    seconds: float


@dataclass(frozen=True)
class Result:
    """All answers in the order of the questions, and the seconds they took together."""

    seconds: float
    answers: list[Answer]

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "Result":
        """From the decoded object."""
        return cls(fields["seconds"], [Answer(**answer) for answer in fields["answers"]])


Ask = Callable[[Question, int], Awaitable[str]]
"""Answers a question; the number is its place among the job's questions."""
Contender = Callable[[Job], AbstractAsyncContextManager[Ask]]
"""Opens what a job needs, such as a connection; not timed."""


def work(contender: Contender) -> None:
    """Say that everything is imported, then do one job per line until the input ends."""
    output = _own_output()
    _say(output, {"ready": True})
    for line in sys.stdin:
        _say(output, asdict(asyncio.run(answer_all(Job.from_json(line), contender))))


async def answer_all(job: Job, contender: Contender) -> Result:
    """Answer the job's questions, in their order, `at_once` at any time."""
    texts: list[Answer | None] = [None] * len(job.questions)
    waiting = iter(enumerate(job.questions))
    async with contender(job) as ask:

        async def work_off() -> None:
            for number, question in waiting:
                started = time.perf_counter()
                text = await ask(question, number)
                texts[number] = Answer(text, time.perf_counter() - started)

        began = time.perf_counter()
        await asyncio.gather(*(work_off() for _ in range(job.at_once)))
        seconds = time.perf_counter() - began
    return Result(seconds, [answer for answer in texts if answer is not None])


def _own_output() -> TextIO:
    """The real output; what a library prints goes to the errors instead."""
    output = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return output


def _say(output: TextIO, message: dict[str, Any]) -> None:
    output.write(json.dumps(message) + "\n")
    output.flush()
