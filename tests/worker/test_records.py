"""What stages keep of their items comes back from JSON as it was."""

import json

from hypothesis import given

from app.domain.judgment import Judgment
from app.domain.prompt import Constraint, Message, Prompt
from tests.helpers.judgments import judgments
from tests.helpers.properties import calm
from worker.context import judgment_record, prompt_record, read_judgment, read_prompt


@calm
@given(judgments)
def test_a_judgment_comes_back(judgment: Judgment) -> None:
    assert read_judgment(json.loads(json.dumps(judgment_record(judgment)))) == judgment


def test_a_prompt_comes_back() -> None:
    prompt = Prompt(
        (Message("system", "Be brief."), Message("user", "Name a color.")),
        (Constraint("length_constraints:number_words", {"num_words": 3}),),
    )
    assert read_prompt(json.loads(json.dumps(prompt_record(prompt)))) == prompt
