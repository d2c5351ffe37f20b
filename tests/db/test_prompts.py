"""The pool keeps a text once, whoever adds it and whenever."""

import asyncio

from app.db.prompts import PromptRepository
from app.db.session import Database
from app.domain.iteration import Source
from app.domain.prompt import Message, Prompt


async def add(database: Database, *texts: str, source: Source = Source.IMPORTED) -> int:
    async with database.session() as session:
        prompts = [Prompt.from_text(text) for text in texts]
        return await PromptRepository(session).add(prompts, source)


async def test_only_what_is_new_counts(database: Database) -> None:
    assert await add(database, "One.", "Two.") == 2
    assert await add(database, "one.", " Two. ", "Three.") == 1
    assert await add(database) == 0


async def test_a_known_text_keeps_its_source(database: Database) -> None:
    await add(database, "One.")
    await add(database, "One.", source=Source.RECORDED)
    async with database.session() as session:
        assert await PromptRepository(session).count() == {Source.IMPORTED: 1}


async def test_the_same_words_after_another_system_message_are_another_prompt(
    database: Database,
) -> None:
    user = Message("user", "One.")
    prompts = [Prompt((Message("system", text), user)) for text in ("Be brief.", "Rhyme.")]
    async with database.session() as session:
        assert await PromptRepository(session).add(prompts, Source.IMPORTED) == 2


async def test_the_order_of_an_import_is_kept_however_long_it_is(database: Database) -> None:
    texts = [f"Number {number}." for number in range(2500)]
    assert await add(database, *texts) == len(texts)
    async with database.session() as session:
        stored = await PromptRepository(session).least_used(Source.IMPORTED, len(texts))
    assert [one.prompt.instruction for one in stored] == texts


async def test_many_may_add_the_same_at_once(database: Database) -> None:
    texts = [f"Number {number}." for number in range(20)]
    added = await asyncio.gather(*(add(database, *texts) for _ in range(10)))
    assert sum(added) == len(texts)
