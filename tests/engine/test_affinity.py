"""Affinity keys of calls."""

import asyncio

from app.domain.prompt import Message
from app.engine.base import affinity_of, prefix_affinity

PROMPT = (Message("system", "Be brief."), Message("user", "Name three rivers."))
OTHER = (Message("user", "Does it name three rivers?"), Message("assistant", "Verdict:"))


def test_later_turns_have_the_affinity_of_the_first() -> None:
    later = (*PROMPT, Message("assistant", "Nile"), Message("user", "And two more?"))
    assert affinity_of(later) == affinity_of(PROMPT)
    assert affinity_of(PROMPT) != affinity_of(OTHER)


async def test_tasks_inherit_the_affinity_of_the_block() -> None:
    async def key() -> str:
        return affinity_of(OTHER)

    with prefix_affinity(PROMPT):
        inside = await asyncio.create_task(key())
    assert inside == affinity_of(PROMPT)
    assert await key() == affinity_of(OTHER)


async def test_concurrent_searches_have_separate_affinity() -> None:
    async def search(messages: tuple[Message, ...]) -> str:
        with prefix_affinity(messages):
            await asyncio.sleep(0)
            return affinity_of((Message("user", "judge"),))

    found = await asyncio.gather(search(PROMPT), search(OTHER))
    assert list(found) == [affinity_of(PROMPT), affinity_of(OTHER)]
