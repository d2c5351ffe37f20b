"""Collecting the votes of one judgment: how many to cast, and when to stop."""

import asyncio
import math
import random
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from app.concurrency import cancel_and_wait
from app.domain.judgment import Vote

YES = (" yes", " Yes", " YES")
NO = (" no", " No", " NO")


def yes_probability(logprobs: Mapping[str, float]) -> float | None:
    """P(yes) among yes and no (0..1), from log-probabilities of their spellings.

    None when one of the words was scored in no spelling, or both probabilities are 0.
    """
    yes = [math.exp(logprobs[option]) for option in YES if option in logprobs]
    no = [math.exp(logprobs[option]) for option in NO if option in logprobs]
    total = sum(yes) + sum(no)
    return sum(yes) / total if yes and no and total > 0 else None


def sample_verdict(probability: float, temperature: float, seed: int | None) -> bool:
    """Draw yes or no as the model would at this temperature; 0 takes the likelier one."""
    if temperature == 0 or probability in (0.0, 1.0):
        return probability > 0.5
    logit = (math.log(probability) - math.log1p(-probability)) / temperature
    threshold = 1 / (1 + math.exp(-max(-500.0, min(500.0, logit))))
    return random.Random(seed).random() < threshold


def is_decided(yes: int, no: int, total: int, accept_threshold: float) -> bool:
    """Whether the remaining votes of `total` cannot change the outcome.

    The outcome is acceptance (a share of yes above `accept_threshold`) or a tie, which would be
    judged again.
    """
    missing = total - yes - no
    tie_possible = total % 2 == 0 and yes <= total / 2 <= yes + missing
    if missing and tie_possible:
        return False
    return yes / total > accept_threshold or (yes + missing) / total <= accept_threshold


def fewest_to_decide(total: int, accept_threshold: float) -> int:
    """The smallest number of votes that can decide, if they agree."""
    return next(
        count
        for count in range(1, total + 1)
        if is_decided(count, 0, total, accept_threshold)
        or is_decided(0, count, total, accept_threshold)
    )


CastVote = Callable[[int], Coroutine[Any, Any, Vote]]


async def collect_votes(cast: CastVote, total: int) -> tuple[Vote, ...]:
    """All votes, cast at the same time; `cast` gets the position of the vote."""
    return tuple([vote async for vote in _in_order(cast, range(total))])


async def collect_until_decided(
    cast: CastVote, total: int, accept_threshold: float
) -> tuple[Vote, ...]:
    """The first votes, by position, that decide whether the share of yes is above the threshold.

    First the fewest that can decide are cast, then, if they disagree, the rest; votes still
    being cast when the outcome is decided are cancelled. Which votes come back does not depend
    on which of them ends first.
    """
    first = fewest_to_decide(total, accept_threshold)
    votes: list[Vote] = []
    for positions in (range(first), range(first, total)):
        async with aclosing(_in_order(cast, positions)) as wave:
            async for vote in wave:
                votes.append(vote)
                yes = sum(vote.verdict for vote in votes)
                if is_decided(yes, len(votes) - yes, total, accept_threshold):
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
        await cancel_and_wait(*tasks)
