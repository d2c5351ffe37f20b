"""The driver in mode best_of_n: the highest value wins, and nothing ends it too early."""

import asyncio

import pytest

from app.domain.search import Mode, SearchOptions, StopReason
from tests.helpers.scripts import Decide, Part, always, only, parts, playing
from tests.helpers.searching import request_for, search


def yes_votes(**counts: int) -> Decide:
    """A judge whose first votes for each response are yes, as many as given, and then no."""

    async def decide(text: str, number: int) -> bool:
        return number <= counts[text.replace(" ", "_")]

    return decide


async def several_turns() -> None:
    """Long enough for the driver to react."""
    for _ in range(50):
        await asyncio.sleep(0)


async def test_the_highest_value_wins_though_an_earlier_one_is_accepted() -> None:
    engine = playing(decide=yes_votes(response_1=3, response_2=1, response_3=4))
    found = await search(engine, request_for(Mode.BEST_OF_N, SearchOptions(n=3)))
    assert found.best == found.tree[3]
    assert found.stop_reason is StopReason.ACCEPTED
    assert engine.aborted == []


async def test_every_vote_is_cast_for_the_value_decides() -> None:
    engine = playing(decide=yes_votes(response_1=4, response_2=5))
    found = await search(engine, request_for(Mode.BEST_OF_N, SearchOptions(n=2)))
    assert found.usage.votes == 10
    assert found.best == found.tree[2]


async def test_a_tie_goes_to_the_earlier_response_though_the_later_one_came_first() -> None:
    later = asyncio.Event()

    async def respond(number: int) -> str:
        if number == 1:
            await later.wait()
        return f"response {number}"

    async def decide(text: str, number: int) -> bool:
        if text == "response 2":
            later.set()
        return number <= 3

    engine = playing(respond=respond, decide=decide)
    found = await search(engine, request_for(Mode.BEST_OF_N, SearchOptions(n=2)))
    assert found.best == found.tree[1]


async def test_a_perfect_response_cancels_later_ones_and_waits_for_earlier_ones() -> None:
    cancelled = asyncio.Event()

    async def respond(number: int) -> str:
        if number == 1:
            await cancelled.wait()
        if number > 2:
            try:
                await asyncio.Future()
            finally:
                cancelled.set()
        return f"response {number}"

    engine = playing(respond=respond, decide=always)
    found = await search(engine, request_for(Mode.BEST_OF_N, SearchOptions(n=4, votes=1)))
    assert found.best == found.tree[1]
    assert [node.id for node in found.tree.responses] == [1, 2]
    assert parts(engine.aborted) == {Part.RESPONSE: 2}
    assert engine.running == 0


async def test_cancelled_responses_are_not_replaced_by_new_ones() -> None:
    async def respond(number: int) -> str:
        return f"response {number}" if number == 1 else await asyncio.Future()

    engine = playing(respond=respond, decide=always)
    found = await search(engine, request_for(Mode.BEST_OF_N, SearchOptions(n=3, votes=1)))
    assert found.best == found.tree[1]
    assert found.stop_reason is StopReason.ACCEPTED
    assert parts(engine.started)[Part.RESPONSE] == 3


async def test_a_response_with_a_vote_against_it_cancels_nothing() -> None:
    first = asyncio.Event()

    async def respond(number: int) -> str:
        if number > 1:
            await first.wait()
            await several_turns()
        return f"response {number}"

    async def decide(text: str, number: int) -> bool:
        if text == "response 1" and number == 5:
            first.set()
        return number <= (4 if text == "response 1" else 5)

    engine = playing(respond=respond, decide=decide)
    found = await search(engine, request_for(Mode.BEST_OF_N, SearchOptions(n=2)))
    assert found.best == found.tree[2]


async def test_without_early_stop_even_a_perfect_response_cancels_nothing() -> None:
    perfect = asyncio.Event()

    async def respond(number: int) -> str:
        if number > 1:
            await perfect.wait()
            await several_turns()
        return f"response {number}"

    async def decide(text: str, number: int) -> bool:
        perfect.set()
        return True

    engine = playing(respond=respond, decide=decide)
    options = SearchOptions(n=3, votes=1, early_stop=False)
    found = await search(engine, request_for(Mode.BEST_OF_N, options))
    assert len(found.tree.responses) == 3
    assert engine.aborted == []


async def test_a_shared_judgment_continues_when_one_of_its_nodes_is_cancelled() -> None:
    """Node 3 starts it, node 1 joins, node 2 is perfect and so cancels node 3."""
    asked, joined, decided = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def respond(number: int) -> str:
        if number == 1:
            await asked.wait()
            joined.set()
        if number == 2:
            await joined.wait()
            return "perfect"
        return "the same"

    async def decide(text: str, number: int) -> bool:
        if text == "perfect":
            decided.set()
            return True
        asked.set()
        await decided.wait()
        return False

    engine = playing(respond=respond, decide=decide)
    found = await search(engine, request_for(Mode.BEST_OF_N, SearchOptions(n=3, votes=1)))
    assert found.best == found.tree[2]
    assert found.tree[1].judgment is not None
    assert engine.aborted == []
    assert found.usage.judgments == 2


async def test_a_shared_judgment_ends_with_the_last_node_that_waits_for_it() -> None:
    """Nodes 3 and 4 share it when node 2 is perfect and so cancels both; node 1 comes last."""
    asked, ended = asyncio.Event(), asyncio.Event()

    async def respond(number: int) -> str:
        if number == 1:
            await ended.wait()
            return "the last"
        if number == 2:
            await asked.wait()
            return "perfect"
        return "the same"

    async def decide(text: str, number: int) -> bool:
        if text != "the same":
            return True
        asked.set()
        try:
            return await asyncio.Future()
        finally:
            ended.set()

    engine = playing(respond=respond, decide=decide)
    found = await search(engine, request_for(Mode.BEST_OF_N, SearchOptions(n=4, votes=1)))
    assert found.best == found.tree[1]
    assert parts(engine.aborted) == {Part.CRITIQUE: 1}


@pytest.mark.parametrize("winner", range(1, 5))
async def test_the_only_accepted_response_is_found_wherever_it_is(winner: int) -> None:
    engine = playing(decide=only(f"response {winner}"))
    found = await search(engine, request_for(Mode.BEST_OF_N, SearchOptions(n=4, votes=1)))
    assert found.best == found.tree[winner]
