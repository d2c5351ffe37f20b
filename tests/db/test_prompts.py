"""The pool stores a text once, with any number of concurrent writers."""

import asyncio

from app.db.prompts import Conversation, PromptRepository
from app.db.session import Database
from app.domain.checkpoint import Role
from app.domain.iteration import Source
from app.domain.prompt import Constraint, Message, Prompt


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


async def test_unused_prompts_come_first_then_those_used_longest_ago(database: Database) -> None:
    await add(database, "One.", "Two.", "Three.", "Four.")
    await add(database, "Recorded.", source=Source.RECORDED)
    async with database.session() as session:
        pool = PromptRepository(session)
        await pool.mark_used([Prompt.from_text("One."), Prompt.from_text(" three. ")], "2" * 26)
        await pool.mark_used([Prompt.from_text("Two.")], "1" * 26)
        order = [one.prompt.instruction for one in await pool.least_used(Source.IMPORTED, 9)]
        assert order == ["Four.", "Two.", "One.", "Three."]
        assert [one.prompt.instruction for one in await pool.least_used(Source.IMPORTED, 2)] == [
            "Four.",
            "Two.",
        ]


async def test_new_are_those_whose_text_no_source_has(database: Database) -> None:
    await add(database, "One.")
    await add(database, "Recorded.", source=Source.RECORDED)
    texts = ["Two.", "RECORDED. ", *(f"Number {number}." for number in range(600)), "one."]
    async with database.session() as session:
        found = await PromptRepository(session).new_among([*map(Prompt.from_text, texts)])
    assert [one.instruction for one in found] == ["Two.", *texts[2:-1]]


async def test_a_prompt_comes_back_with_its_constraints(database: Database) -> None:
    prompt = Prompt(
        (Message("system", "Be brief."), Message("user", "One.")),
        (Constraint("length_constraints:number_words", {"num_words": 3}),),
    )
    async with database.session() as session:
        await PromptRepository(session).add([prompt], Source.IMPORTED)
    async with database.session() as session:
        (stored,) = await PromptRepository(session).least_used(Source.IMPORTED, 1)
    assert stored.prompt == prompt


async def test_pages_of_prompts_go_back_in_time(database: Database) -> None:
    await add(database, "One.", "Two.", "Three.")
    async with database.session() as session:
        pool = PromptRepository(session)
        first, cursor = await pool.page(2)
        assert [one.prompt.instruction for one in first] == ["Three.", "Two."]
        assert cursor is not None
        rest, end = await pool.page(2, cursor)
        assert ([one.prompt.instruction for one in rest], end) == (["One."], None)


async def test_a_conversation_is_kept_once_for_each_role(database: Database) -> None:
    def said(answer: str, role: Role = Role.ACTOR) -> Conversation:
        return Conversation(role, (Message("user", "Hello?"), Message("assistant", answer)))

    async with database.session() as session:
        pool = PromptRepository(session)
        new = [said("Hi."), said("hi. "), said("Hello."), said("Hi.", Role.REFINER)]
        assert await pool.add_conversations(new) == 3
        assert await pool.add_conversations(new) == 0
        kept = await pool.conversations(Role.ACTOR)
        assert [one.messages[-1].content for one in kept] == ["Hi.", "Hello."]
        assert await pool.conversations(Role.REFINER) == [said("Hi.", Role.REFINER)]
