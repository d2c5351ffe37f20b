import pytest

from app.domain.prompt import Message, Prompt
from app.roles.templates import fill, transcript


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
