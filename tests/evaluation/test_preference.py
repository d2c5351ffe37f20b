"""Asking for a preference, and reading it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.evaluation.llmbar import comparison_messages, read_preference
from tests.helpers.properties import calm


def test_the_question_holds_the_instruction_and_both_responses_in_order() -> None:
    (message,) = comparison_messages("Say {first}.", "{second}", "two {instruction}")
    assert message.role == "user"
    places = [
        message.content.index(text) for text in ("Say {first}.", "{second}", "two {instruction}")
    ]
    assert places == sorted(places)
    assert message.content.count("Say {first}.") == 1


@pytest.mark.parametrize(
    ("reply", "preferred"),
    [
        ("Better: 1", 0),
        ("It is longer, but wrong.\nBetter: 2", 1),
        ("**Better:** Response 2.", 1),
        ("better is: response 1", 0),
        ('"Better: 2"', 1),
        ("Better: 1? No.\nBetter: 2", 1),
        ("2", 1),
        ("Response 1.", 0),
        ("(2)", 1),
        ("", None),
        ("Both are good.", None),
        ("Better: 3", None),
        ("Better: 12", None),
        ("Better: 1.5 times", None),
        ("Better: neither", None),
        ("The better one has 2 reasons.", None),
        ("1 and 2", None),
    ],
)
def test_replies_are_read(reply: str, preferred: int | None) -> None:
    assert read_preference(reply) == preferred


@calm
@given(st.text(), st.sampled_from([1, 2]))
def test_whatever_comes_before_the_last_line_counts(before: str, better: int) -> None:
    assert read_preference(f"{before}\nBetter: {better}") == better - 1


def test_the_question_itself_is_no_answer_that_favours_one() -> None:
    """A model that repeats the task prefers what it names last, in both orders: no agreement."""
    (message,) = comparison_messages("Hi.", "a", "b")
    assert read_preference(message.content) == 1
