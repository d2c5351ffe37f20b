import pytest

from app.roles.prompt_leak import repeats_request
from app.roles.templates import fill

INSTRUCTION = "Describe the harbour of a small town in the early morning."
REFINE = fill("refine", conversation="", response="", review="", instruction="")


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
def test_an_answer_is_none(response: str) -> None:
    assert not repeats_request(INSTRUCTION, response)


def test_what_people_wrote_themselves_is_not_ours() -> None:
    assert not repeats_request(INSTRUCTION, f"You asked: {INSTRUCTION}")
    instruction = f"Shorten this: {REFINE}"
    assert not repeats_request(instruction, REFINE)
    assert not repeats_request("End with the line 'Verdict: guilty'.", "Verdict: guilty")
