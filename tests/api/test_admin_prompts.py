"""The prompt pool and the conversations through the admin endpoint."""

from typing import Any

import httpx
import pytest

from app.db.prompts import PromptRepository
from app.db.session import Database
from app.domain.checkpoint import Role

WORDS = {"id": "length_constraints:number_words", "kwargs": {"relation": "at most", "num_words": 9}}
CHAT = [{"role": "user", "content": "Hi."}, {"role": "assistant", "content": "Hello."}]


async def add(admin: httpx.AsyncClient, *prompts: dict[str, Any]) -> httpx.Response:
    return await admin.post("/admin/prompts", json={"prompts": prompts})


async def pool(admin: httpx.AsyncClient) -> list[dict[str, Any]]:
    prompts: list[dict[str, Any]] = (await admin.get("/admin/prompts")).json()["prompts"]
    return prompts


async def test_prompts_join_the_pool_and_none_twice(admin: httpx.AsyncClient) -> None:
    first = await add(admin, {"prompt": "One."}, {"prompt": "one.  "}, {"prompt": "Two."})
    assert (first.status_code, first.json()) == (200, {"added": 2, "known": 1})
    assert (await add(admin, {"prompt": "Two."}, {"prompt": "Three."})).json() == {
        "added": 1,
        "known": 1,
    }
    answer = (await admin.get("/admin/prompts")).json()
    assert answer["counts"] == {"imported": 3, "recorded": 0, "generated": 0}
    assert [one["messages"][0]["content"] for one in answer["prompts"]] == [
        "Three.",
        "Two.",
        "One.",
    ]


async def test_conversations_and_constraints_are_kept(admin: httpx.AsyncClient) -> None:
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}]
    await add(admin, {"messages": messages, "constraints": [WORDS]})
    [stored] = await pool(admin)
    assert (stored["messages"], stored["constraints"]) == (messages, [WORDS])
    assert stored["source"] == "imported"


async def test_the_prompt_pool_is_paged(admin: httpx.AsyncClient) -> None:
    await add(admin, *({"prompt": f"Number {n}."} for n in range(5)))
    first = (await admin.get("/admin/prompts", params={"limit": 3})).json()
    params = {"limit": 3, "cursor": first["next_cursor"]}
    second = (await admin.get("/admin/prompts", params=params)).json()
    texts = [one["messages"][0]["content"] for one in first["prompts"] + second["prompts"]]
    assert texts == [f"Number {n}." for n in reversed(range(5))]
    assert second["next_cursor"] is None


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({}, "prompts.1"),
        ({"prompt": " "}, "prompts.1.prompt"),
        ({"messages": CHAT}, "prompts.1.messages"),
        ({"prompt": "x", "constraints": [{"id": "nonsense"}]}, "prompts.1.constraints.0.id"),
        (
            {"prompt": "x", "constraints": [WORDS, {"id": WORDS["id"], "kwargs": {}}]},
            "prompts.1.constraints.1.kwargs.num_words",
        ),
    ],
)
async def test_one_wrong_prompt_is_named_and_nothing_is_added(
    admin: httpx.AsyncClient, wrong: dict[str, Any], field: str
) -> None:
    response = await add(admin, {"prompt": "Fine."}, wrong)
    assert (response.status_code, response.json()["field"]) == (422, field)
    assert await pool(admin) == []


@pytest.mark.parametrize("number", [0, 1001])
async def test_too_few_and_too_many_prompts_are_refused(
    admin: httpx.AsyncClient, number: int
) -> None:
    assert (await add(admin, *[{"prompt": "x"}] * number)).status_code == 422


async def test_conversations_are_kept_by_role(admin: httpx.AsyncClient, database: Database) -> None:
    body = {"conversations": [{"role": role, "messages": CHAT} for role in Role] * 2}
    response = await admin.post("/admin/conversations", json=body)
    assert (response.status_code, response.json()) == (200, {"added": 2, "known": 2})
    async with database.session() as session:
        [stored] = await PromptRepository(session).conversations(Role.REFINER)
    assert [message.content for message in stored.messages] == ["Hi.", "Hello."]


@pytest.mark.parametrize(
    ("role", "messages", "field"),
    [
        ("critic", CHAT, "role"),
        ("actor", CHAT[:1], "messages"),
        ("actor", [*CHAT, CHAT[0]], "messages"),
        ("actor", [], "messages"),
    ],
)
async def test_a_conversation_without_a_last_answer_is_refused(
    admin: httpx.AsyncClient, role: str, messages: list[Any], field: str
) -> None:
    body = {
        "conversations": [{"role": "actor", "messages": CHAT}, {"role": role, "messages": messages}]
    }
    response = await admin.post("/admin/conversations", json=body)
    assert (response.status_code, response.json()["field"]) == (422, f"conversations.1.{field}")
