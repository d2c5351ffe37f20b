from typing import Any

import pytest

from app.constraints.checker import Checker
from app.constraints.json_schema import JsonSchema
from app.constraints.json_schema import check as verify
from app.domain.prompt import Constraint, Prompt

PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer", "minimum": 0}},
    "required": ["name"],
}


async def check(checker: Checker, schema: dict[str, Any], response: str) -> tuple[bool, str]:
    constraint = Constraint("json_schema", {"schema": schema})
    [result] = await checker.check(Prompt.from_text("Answer me.", (constraint,)), response)
    return result.satisfied, result.message


@pytest.mark.parametrize(
    "response",
    ['{"name": "Ann"}', '```json\n{"name": "Ann", "age": 3}\n```', '```\n{"name":""}```'],
)
async def test_follows_the_schema(checker: Checker, response: str) -> None:
    assert await check(checker, PERSON, response) == (
        True,
        "the response is JSON that follows the schema",
    )


@pytest.mark.parametrize(
    ("response", "message"),
    [
        ('{"name": 3}', "at $.name: 3 is not of type 'string'"),
        ('{"age": -1}', "at $.age: -1 is less than the minimum of 0"),
        ('{"age": 1}', "at $: 'name' is a required property"),
        ("[]", "at $: [] is not of type 'object'"),
        ('Here: {"name": "Ann"}', "the response is not JSON (Expecting value"),
        ('{"name": NaN}', "the response is not JSON (NaN is not a JSON value)"),
        ("1" * 5000, "the response is not JSON (Exceeds the limit"),
        ("[" * 200_000, "the response is nested too deeply to be checked"),
    ],
)
async def test_says_where_and_what(checker: Checker, response: str, message: str) -> None:
    satisfied, said = await check(checker, PERSON, response)
    assert not satisfied
    assert message in said


async def test_a_schema_that_refers_to_itself_without_end_fails(checker: Checker) -> None:
    satisfied, _ = await check(checker, {"$ref": "#"}, "{}")
    assert not satisfied


def test_a_hostile_pattern_runs_out_of_time() -> None:
    hostile = JsonSchema(schema={"items": {"pattern": "(a|aa)+$"}})
    with pytest.raises(TimeoutError):
        verify(hostile, f'["{"a" * 60}b"]', 0.1)
