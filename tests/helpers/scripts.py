"""Scripts for the scripted engine, by role: actor, judge and refiner."""

import math
import re
from collections import Counter
from collections.abc import Awaitable, Callable
from enum import StrEnum

from app.engine.base import Call
from tests.helpers.scripted_engine import ScriptedEngine

FINE, SHORT = "all is met", "it falls short"

Say = Callable[[int], Awaitable[str]]
Decide = Callable[[str, int], Awaitable[bool]]


class Part(StrEnum):
    """The purpose of a call."""

    RESPONSE = "response"
    CRITIQUE = "critique"
    REWRITE = "rewrite"


def judged_text(call: Call) -> str | None:
    """The response that a call judges or rewrites; None when it answers the prompt."""
    section = r"# Response\n(.*?)\n\n# (?:Task|Review)\n"
    found = re.search(section, call.messages[0].content, re.DOTALL)
    return found[1] if found else None


def part_of(call: Call) -> Part:
    """The purpose of a `complete` call."""
    if judged_text(call) is None:
        return Part.RESPONSE
    return Part.CRITIQUE if call.messages[-1].role == "user" else Part.REWRITE


def verdict_of_critique(call: Call, option: str) -> float:
    """P(yes) is 1 after a positive critique, else 0."""
    verdict = " yes" if call.messages[-1].content.startswith(FINE) else " no"
    return 0.0 if option == verdict else -math.inf


async def numbered_response(number: int) -> str:
    """The default of the actor."""
    return f"response {number}"


async def numbered_rewrite(number: int) -> str:
    """The default of the refiner."""
    return f"rewrite {number}"


async def never(text: str, number: int) -> bool:
    """A judge that rejects everything."""
    return False


async def always(text: str, number: int) -> bool:
    """A judge that accepts everything."""
    return True


def only(*accepted: str) -> Decide:
    """A judge that accepts these texts."""

    async def decide(text: str, number: int) -> bool:
        return text in accepted

    return decide


class Play:
    """A script made of parts.

    `respond` and `rewrite` get the number of the call (1, 2, ... in the order of their starts),
    `decide` the judged text and the number of the vote on it.
    """

    def __init__(
        self,
        *,
        respond: Say = numbered_response,
        decide: Decide = never,
        rewrite: Say = numbered_rewrite,
    ) -> None:
        self._respond, self._decide, self._rewrite = respond, decide, rewrite
        self._numbers: Counter[str] = Counter()

    async def __call__(self, call: Call) -> str:
        """The text of a call."""
        text = judged_text(call) or ""
        match part_of(call):
            case Part.RESPONSE:
                return await self._respond(self._next("response"))
            case Part.REWRITE:
                return await self._rewrite(self._next("rewrite"))
            case Part.CRITIQUE:
                fine = await self._decide(text, self._next(f"vote on {text}"))
                return FINE if fine else SHORT

    def _next(self, key: str) -> int:
        self._numbers[key] += 1
        return self._numbers[key]


def playing(
    *, respond: Say = numbered_response, decide: Decide = never, rewrite: Say = numbered_rewrite
) -> ScriptedEngine:
    """A scripted engine with these scripts."""
    return ScriptedEngine(
        Play(respond=respond, decide=decide, rewrite=rewrite), verdict_of_critique
    )


def reading_yes(
    probability: float,
    decide: Decide = never,
    *,
    respond: Say = numbered_response,
    rewrite: Say = numbered_rewrite,
) -> ScriptedEngine:
    """An engine whose judge gives this P(yes) without a critique."""

    def verdict(call: Call, option: str) -> float:
        if call.messages[-1].content.strip() != "Verdict:":
            return verdict_of_critique(call, option)
        share = {" yes": probability, " no": 1 - probability}.get(option, 0.0)
        return math.log(share) if share else -math.inf

    return ScriptedEngine(Play(respond=respond, decide=decide, rewrite=rewrite), verdict)


def parts(calls: list[Call]) -> Counter[Part]:
    """Number of calls of each kind."""
    return Counter(part_of(call) for call in calls)
