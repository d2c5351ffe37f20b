import pytest

from app.domain.prompt import Constraint, Message, Prompt


def test_a_text_is_a_conversation_of_one_user_message() -> None:
    constraint = Constraint("some:constraint", {"words": 3})
    prompt = Prompt.from_text("Hello", (constraint,))
    assert prompt == Prompt((Message("user", "Hello"),), (constraint,))
    assert prompt.instruction == "Hello"


@pytest.mark.parametrize(
    ("messages", "instruction"),
    [
        ((Message("user", "one"), Message("assistant", "two"), Message("user", "three")), "three"),
        ((Message("user", "one"), Message("assistant", "prefill")), "one"),
        ((Message("system", "only"),), ""),
    ],
)
def test_the_instruction_is_the_last_user_message(
    messages: tuple[Message, ...], instruction: str
) -> None:
    assert Prompt(messages).instruction == instruction
