import asyncio
import os
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.constraints.catalogue import KINDS
from app.constraints.checker import COPY_ID, Checker
from app.domain.prompt import Constraint, Prompt
from tests.helpers.properties import at_most

NO_COMMA = Constraint("punctuation:no_comma")
TITLE = Constraint("detectable_format:title")
SLOW = Constraint("json_schema", {"schema": {"patternProperties": {"(a+)+$": True}}})
HOSTILE = Constraint("regex", {"pattern": "(a|aa)+$"})
SLOW_RESPONSE = '{"' + "a" * 40 + 'b": 1}'
IFEVAL = (
    Constraint("keywords:frequency", {"keyword": "a(", "frequency": 1, "relation": "at most"}),
    Constraint("keywords:letter_frequency", {"letter": "a", "let_frequency": 2,
               "let_relation": "less than"}),
    Constraint("length_constraints:number_words", {"num_words": 3, "relation": "at least"}),
    Constraint("length_constraints:number_sentences", {"num_sentences": 2, "relation": "at most"}),
    Constraint("length_constraints:number_paragraphs", {"num_paragraphs": 2}),
    Constraint("detectable_format:number_bullet_lists", {"num_bullets": 1}),
    Constraint("change_case:capital_word_frequency", {"capital_frequency": 1,
               "capital_relation": "at least"}),
)  # fmt: skip


async def test_results_follow_the_order_of_the_constraints(checker: Checker) -> None:
    prompt = Prompt.from_text("Answer me.", (TITLE, NO_COMMA, TITLE))
    results = await checker.check(prompt, "It rains.")
    assert [(r.id, r.satisfied) for r in results] == [
        (TITLE.id, False),
        (NO_COMMA.id, True),
        (TITLE.id, False),
    ]


@pytest.mark.parametrize("response", ["", " \n\t", "<think>never ends", "<think>so</think> \n"])
async def test_an_empty_response_fails_every_constraint(checker: Checker, response: str) -> None:
    results = await checker.check(Prompt.from_text("Hello?", (NO_COMMA, TITLE)), response)
    assert [(r.satisfied, r.message) for r in results] == [(False, "the response is empty")] * 2


async def test_without_constraints_there_are_no_results(checker: Checker) -> None:
    assert await checker.check(Prompt.from_text("Say something."), "It rains.") == ()


@pytest.mark.parametrize("length", [10, 5000])
async def test_a_copy_of_the_prompt_is_found_without_constraints(
    checker: Checker, length: int
) -> None:
    text = " ".join(f"word{number}" for number in range(length))
    [result] = await checker.check(Prompt.from_text(text), text.upper())
    assert (result.id, result.satisfied) == (COPY_ID, False)
    assert "only repeats the prompt" in result.message


async def test_null_kwargs_count_as_left_out(checker: Checker) -> None:
    padded = Constraint(NO_COMMA.id, {"num_words": None, "keywords": None})
    checker.validate([padded])
    [result] = await checker.check(Prompt.from_text("Answer me.", (padded,)), "It rains.")
    assert result.satisfied


@pytest.mark.parametrize(
    ("constraint", "response", "message"),
    [
        (Constraint("format:quote_unquote"), "...", "the checker failed on this response"),
        (
            Constraint("detectable_format:json_format"),
            "[" * 200_000,
            "the response is nested too deeply to be checked",
        ),
        (Constraint("no:such"), "It rains.", 'there is no constraint "no:such"'),
        (
            Constraint("keywords:letter_frequency", {"letter": "!"}),
            "It rains!",
            "the checker failed on this response (ValidationError)",
        ),
    ],
)
async def test_a_crash_is_a_failed_constraint(
    checker: Checker, constraint: Constraint, response: str, message: str
) -> None:
    prompt = Prompt.from_text("Answer me.", (constraint, NO_COMMA))
    crashed, other = await checker.check(prompt, response)
    assert not crashed.satisfied
    assert message in crashed.message
    assert other.satisfied


async def test_hostile_patterns_run_out_of_time_and_the_next_check_works() -> None:
    checker = Checker(processes=1, seconds=0.2)
    try:
        prompt = Prompt.from_text("Answer me.", (SLOW, HOSTILE, NO_COMMA))
        schema, pattern, other = await checker.check(prompt, SLOW_RESPONSE)
        assert (schema.satisfied, schema.message) == (False, "the check took longer than 0.2 s")
        assert (pattern.satisfied, pattern.message) == (
            False,
            "the pattern took longer than 0.2 s",
        )
        assert other.satisfied
    finally:
        await checker.close()


async def test_cancelling_ends_the_check(checker: Checker) -> None:
    hanging = asyncio.create_task(
        checker.check(Prompt.from_text("Answer me.", (SLOW,)), SLOW_RESPONSE)
    )
    await checker.check(Prompt.from_text("Answer me."), "It rains.")
    hanging.cancel()
    with pytest.raises(asyncio.CancelledError):
        await hanging
    [result] = await checker.check(Prompt.from_text("Answer me.", (NO_COMMA,)), "It rains.")
    assert result.satisfied


def kwargs_for(constraint_id: str) -> dict[str, Any]:
    """Some valid kwargs of a kind."""
    by_type = {"integer": 2, "string": "rain", "array": ["rain"], "object": {"type": "object"}}
    special = {"letter": "a", "language": "de", "match": "search", "flags": "i"}
    schema = KINDS[constraint_id].kwargs.model_json_schema()["properties"]
    return {
        name: special.get(name) or ("at least" if "relation" in name else by_type[details["type"]])
        for name, details in schema.items()
    }


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(response=st.text(alphabet=st.characters(), max_size=200))
async def test_no_text_raises(checker: Checker, response: str) -> None:
    everything = tuple(Constraint(name, kwargs_for(name)) for name in KINDS)
    checker.validate(everything)
    results = await checker.check(Prompt.from_text("Answer me.", everything), response)
    assert [r.id for r in results if r.id != COPY_ID] == list(KINDS)
    assert all(r.message for r in results)


@settings(max_examples=at_most(40), suppress_health_check=list(HealthCheck))
@given(response=st.text(alphabet="aA(b .!?*-\n", min_size=1, max_size=60))
async def test_a_message_never_contradicts_the_verdict(checker: Checker, response: str) -> None:
    results = await checker.check(Prompt.from_text("Answer me.", IFEVAL), response)
    for result in results:
        assert result.satisfied == agrees(result.message)


def agrees(message: str) -> bool:
    """What the numbers in "3 words, at most 2 allowed" come to."""
    if message == "the response is empty" or "an empty paragraph" in message:
        return False
    found, asked = message.rsplit(", separated", 1)[0].rsplit(", ", 1)
    count = next(int(part) for part in found.split() if part.isdigit())
    *relation, number, _ = asked.removesuffix(" for").split()
    return {
        ("at", "most"): count <= int(number),
        ("at", "least"): count >= int(number),
        ("fewer", "than"): count < int(number),
        ("exactly",): count == int(number),
    }[tuple(relation)]


async def test_a_comparison_whose_process_dies_finds_no_copy(
    checker: Checker, monkeypatch: pytest.MonkeyPatch
) -> None:
    # In the checking process it becomes the program "false", and so ends it.
    monkeypatch.setattr("app.constraints.checker.copies_prompt", os.execlp)
    prompt = Prompt.from_text("false", (NO_COMMA,))
    [result] = await checker.check(prompt, "word " * 5000)
    assert (result.id, result.satisfied) == (NO_COMMA.id, True)
