"""Runs searches over a scripted engine."""

import asyncio
import time
from collections.abc import Callable

from app.domain.judgment import ConstraintResult
from app.domain.prompt import Constraint, Prompt
from app.domain.search import Budget, Mode, Sampling, SearchOptions
from app.engine.base import Engine
from app.roles.actor import Actor
from app.roles.judge import Judge
from app.roles.refiner import Refiner
from app.search.base import OnEvent, SearchRequest, SearchResult, ignore_event
from app.search.run import Roles, run_search

SECONDS_UNTIL_STUCK = 10


class Checks:
    """A constraint checker from a function of the response."""

    def __init__(self, check: Callable[[str], tuple[ConstraintResult, ...]] = lambda _: ()) -> None:
        self._check = check
        self.checked: list[str] = []

    async def check(self, prompt: Prompt, response: str) -> tuple[ConstraintResult, ...]:
        """The results of the function."""
        self.checked.append(response)
        return self._check(response)


def roles(engine: Engine, checks: Checks | None = None) -> Roles:
    """All roles on one engine."""
    return Roles(
        Actor(engine),
        Judge(engine, checks or Checks(), temperature=0.7, critique_tokens=64),
        Refiner(engine),
        refine_temperature=0.7,
    )


def request_for(
    mode: Mode,
    options: SearchOptions | None = None,
    budget: Budget | None = None,
    *,
    constraints: tuple[Constraint, ...] = (),
    seed: int | None = None,
    max_tokens: int = 100,
    stream: bool = False,
) -> SearchRequest:
    """A request received now, with one vote per judgment unless overridden."""
    return SearchRequest(
        id="search",
        mode=mode,
        prompt=Prompt.from_text("a question", constraints),
        options=options or SearchOptions(votes=1),
        budget=budget or Budget(),
        sampling=Sampling(temperature=0.9, top_p=0.9, max_tokens=max_tokens, seed=seed),
        started=time.monotonic(),
        stream=stream,
    )


async def search(
    engine: Engine,
    request: SearchRequest,
    checks: Checks | None = None,
    on_event: OnEvent = ignore_event,
) -> SearchResult:
    """The result of a search, with a timeout."""
    async with asyncio.timeout(SECONDS_UNTIL_STUCK):
        return await run_search(request, roles(engine, checks), on_event)
