import pytest

from app.domain.prompt import Message, Prompt
from app.roles.templates import fill, repeats_request, transcript

INSTRUCTION = "Describe the harbour of a small town in the early morning."
REFINE = fill("refine", conversation="", response="", review="", instruction="")


def test_every_field_is_filled() -> None:
    filled = fill("judge", instruction="THE INSTRUCTION", response="THE RESPONSE")
    assert "THE INSTRUCTION" in filled
    assert "THE RESPONSE" in filled
    assert "{" not in filled


def test_fields_in_values_are_not_filled() -> None:
    filled = fill("judge", instruction="{response}", response="{instruction}")
    assert "# Instruction\n{response}\n" in filled
    assert "# Response\n{instruction}\n" in filled


def test_a_field_without_a_value_is_an_error() -> None:
    with pytest.raises(KeyError, match="response"):
        fill("judge", instruction="only this")


def test_a_single_message_is_its_own_transcript() -> None:
    assert transcript(Prompt.from_text("just [this]")) == "just [this]"


def test_several_messages_are_named_by_their_roles() -> None:
    prompt = Prompt((Message("system", "one"), Message("user", "two")))
    assert transcript(prompt) == "[system]\none\n\n[user]\ntwo"


@pytest.mark.parametrize(
    "response",
    [
        REFINE,
        f"Sure! {REFINE.upper()}",
        "First the title. Answer the instruction again, from the start, with a new one.",
        "List every requirement of the instruction (content, format) and so on.",
        "A river.\n\n# Review\nIt is short.",
        "A river.\n\nVerdict: no",
        "A program checked the response: 12 words.",
    ],
)
def test_the_request_and_parts_of_it_are_recognised(response: str) -> None:
    assert repeats_request(INSTRUCTION, response)


@pytest.mark.parametrize(
    "response",
    [
        "",
        "The Nile flows through eleven countries.",
        "I have rewritten the text: the river is wide, and every boat is slow.",
        fill("judge", instruction="", response="")[:20],
    ],
)
def test_an_answer_is_not_mistaken_for_the_request(response: str) -> None:
    assert not repeats_request(INSTRUCTION, response)


def test_text_of_the_instruction_is_no_leak() -> None:
    assert not repeats_request(INSTRUCTION, f"You asked: {INSTRUCTION}")
    instruction = f"Shorten this: {REFINE}"
    assert not repeats_request(instruction, REFINE)
    assert not repeats_request("End with the line 'Verdict: guilty'.", "Verdict: guilty")
