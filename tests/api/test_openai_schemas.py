"""The OpenAI shape, both ways."""

from typing import Any

import pytest
from pydantic import ValidationError

from app.api.openai_schemas import (
    ChatChunkOut,
    ChatIn,
    ChunkChoiceOut,
    DeltaOut,
    Head,
    conversation,
)
from app.domain.prompt import Message

HEAD = Head(id="1", created=1, model="actor", system_fingerprint="actor@0")


def chat(**fields: Any) -> ChatIn:
    user = {"role": "user", "content": "hi"}
    return ChatIn.model_validate({"model": "actor", "messages": [user]} | fields)


def test_developer_reads_as_system_and_parts_as_one_text() -> None:
    parts = [{"type": "text", "text": "good "}, {"type": "text", "text": "day"}]
    body = chat(
        messages=[{"role": "developer", "content": "be"}, {"role": "user", "content": parts}]
    )
    assert conversation(body.messages) == (Message("system", "be"), Message("user", "good day"))


@pytest.mark.parametrize(
    ("stop", "stops"), [(None, ()), (".", (".",)), ([], ()), ([".", "!"], (".", "!"))]
)
def test_stop_is_one_string_or_several(stop: Any, stops: tuple[str, ...]) -> None:
    assert chat(stop=stop).stops == stops


def test_either_name_limits_the_length() -> None:
    assert chat(max_tokens=3).length == chat(max_completion_tokens=3).length == 3
    assert chat().length is None


@pytest.mark.parametrize(
    "fields", [{"stop": 5}, {"stop": [""]}, {"messages": [{"role": "user", "content": [5]}]}]
)
def test_an_error_is_located_in_what_was_sent(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        chat(**fields)
    for error in caught.value.errors():
        assert all(isinstance(part, int) or part.isidentifier() for part in error["loc"])


def test_a_chunk_carries_no_empty_fields_but_the_reason_to_come() -> None:
    choice = ChunkChoiceOut(index=0, delta=DeltaOut(content="a"))
    chunk = ChatChunkOut(**HEAD, choices=[choice]).model_dump()
    assert chunk["choices"] == [{"index": 0, "delta": {"content": "a"}, "finish_reason": None}]
    assert chunk.keys().isdisjoint({"usage", "search"})
