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
    votes = {position: vote async for position, vote in _as_cast(cast, range(total))}
    return tuple(votes[position] for position in sorted(votes))


async def collect_until_decided(cast: CastVote, total: int, gate: float) -> tuple[Vote, ...]:
    """As few votes as decide whether the share of yes is above the gate, in order of position.

    First the fewest that can decide, then, if they disagree, the rest; votes still being cast
    when the outcome is decided are cancelled.
    """
    first = fewest_to_decide(total, gate)
    votes: dict[int, Vote] = {}
    for positions in (range(first), range(first, total)):
        async with aclosing(_as_cast(cast, positions)) as finished:
            async for position, vote in finished:
                votes[position] = vote
                yes = sum(vote.verdict for vote in votes.values())
                if is_decided(yes, len(votes) - yes, total, gate):
                    return tuple(votes[position] for position in sorted(votes))
    return tuple(votes[position] for position in sorted(votes))


async def _as_cast(
    cast: CastVote, positions: Sequence[int]
) -> AsyncGenerator[tuple[int, Vote], None]:
    """Cast the votes of these positions at once and yield each as it is there."""
    tasks = {asyncio.create_task(cast(position)): position for position in positions}
    pending = set(tasks)
    try:
        while pending:
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            for task in sorted(done, key=tasks.__getitem__):
                yield tasks[task], task.result()
    finally:
        for task in pending:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
