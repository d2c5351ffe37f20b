"""Collecting the votes of one judgment: how many to cast, and when to stop."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import aclosing
from typing import Any

from app.domain.judgment import Vote
from app.roles.verdict import fewest_to_decide, is_decided

CastVote = Callable[[int], Coroutine[Any, Any, Vote]]


async def collect_votes(cast: CastVote, total: int) -> tuple[Vote, ...]:
    """All votes, cast at the same time; `cast` gets the position of the vote."""
    return tuple([vote async for vote in _in_order(cast, range(total))])


async def collect_until_decided(cast: CastVote, total: int, gate: float) -> tuple[Vote, ...]:
    """The first votes, by position, that decide whether the share of yes is above the gate.

    First the fewest that can decide are cast, then, if they disagree, the rest; votes still
    being cast when the outcome is decided are cancelled. Which votes come back does not depend
    on which of them ends first.
    """
    first = fewest_to_decide(total, gate)
    votes: list[Vote] = []
    for positions in (range(first), range(first, total)):
        async with aclosing(_in_order(cast, positions)) as wave:
            async for vote in wave:
                votes.append(vote)
                yes = sum(vote.verdict for vote in votes)
                if is_decided(yes, len(votes) - yes, total, gate):
                    return tuple(votes)
    return tuple(votes)


async def _in_order(cast: CastVote, positions: Sequence[int]) -> AsyncGenerator[Vote, None]:
    """Cast the votes of these positions at once and yield them in order.

    A vote that fails does so at once, whatever its position.
    """
    tasks = [asyncio.create_task(cast(position)) for position in positions]
    pending = set(tasks)
    try:
        for task in tasks:
            while not task.done():
                done, pending = await asyncio.wait(pending, return_when="FIRST_COMPLETED")
                for ended in done:
                    ended.result()
            yield task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
