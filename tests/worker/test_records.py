"""What stages keep of their items comes back from JSON as it was."""

import json

from hypothesis import given
from pydantic import TypeAdapter

from app.domain.judgment import Judgment
from app.domain.prompt import Constraint, Message, Prompt
from tests.helpers.judgments import judgments
from tests.helpers.properties import calm

PROMPT = Prompt(
    (Message("system", "Be brief."), Message("user", "Name a color.")),
    (Constraint("length_constraints:number_words", {"num_words": 3}),),
)


def through_json(value: object, kind: type) -> object:
    adapter = TypeAdapter(kind)
    return adapter.validate_python(json.loads(json.dumps(adapter.dump_python(value, mode="json"))))


@calm
@given(judgments)
def test_a_judgment_comes_back(judgment: Judgment) -> None:
    assert through_json(judgment, Judgment) == judgment


def test_a_prompt_comes_back() -> None:
    assert through_json(PROMPT, Prompt) == PROMPT
