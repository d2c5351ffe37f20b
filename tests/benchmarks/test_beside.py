"""The user's wait, as a ratio."""

import pytest

from app.api.schemas import GenerateIn
from benchmarks.beside import ALONE, BESIDE, QUESTIONS, Answer, Asked, Question, compared
from benchmarks.instructions import LONG_INSTRUCTIONS
from benchmarks.measure import Spread
from benchmarks.phases import Phase

NAME = QUESTIONS[0].name


def waited(*seconds: float) -> Asked:
    """A round in which the user waited so long for one kind of question."""
    return {NAME: [Answer(each, 64) for each in seconds]}


def test_the_medians_of_a_round_are_compared_within_the_round() -> None:
    alone = [waited(1, 2, 30), waited(4, 4, 4)]
    beside = [waited(3, 2, 3), waited(4, 5, 50)]

    row = compared(Phase.JUDGE, NAME, alone, beside)

    assert row.spread == Spread(median=1.375, low=1.25, high=1.5)
    assert row.verdict == "met"
    assert row.detail[BESIDE]["seconds"][1] == [4, 5, 50]
    assert row.detail[ALONE]["tokens"] == [[64] * 3, [64] * 3]


def test_half_as_long_again_is_too_long() -> None:
    row = compared(Phase.TRAIN, NAME, [waited(2)], [waited(3)])
    assert row.verdict == "missed"


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.name)
def test_a_question_is_one_the_server_takes(question: Question) -> None:
    asked = [GenerateIn.model_validate(question.body(n, 16)) for n in range(question.times)]
    assert [one.prompt for one in asked] == list(LONG_INSTRUCTIONS[: question.times])
    assert {one.sampling.max_tokens for one in asked} == {16}
