import threading
from typing import Any

import pytest

from app.domain.prompt import Message
from app.engine.rendering import LONG_TEXT, Renderer
from app.errors import PromptTooLong


class Letters:
    """A tokenizer whose tokens are characters, with a chat template in angle brackets."""

    def __init__(self) -> None:
        self.encoded: list[str] = []
        self.threads: set[int] = set()

    def apply_chat_template(
        self, messages: list[Any], tools: list[dict[str, Any]] | None = None, **kwargs: Any
    ) -> str:
        assert kwargs == {"tokenize": False, "add_generation_prompt": True}
        turns = [f"<{message['role']}>{message['content']}" for message in messages]
        return "".join([*turns, "<assistant>"])

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]:
        assert not add_special_tokens, "the template has written them already"
        self.encoded.append(text)
        self.threads.add(threading.get_ident())
        return [ord(letter) for letter in text]


def read(tokens: list[int]) -> str:
    return "".join(map(chr, tokens))


SYSTEM, USER = Message("system", "brief"), Message("user", "hi")


@pytest.mark.parametrize(
    ("messages", "rendered"),
    [
        ([USER], "<user>hi<assistant>"),
        ([SYSTEM, USER], "<system>brief<user>hi<assistant>"),
        ([USER, Message("assistant", "Well, ")], "<user>hi<assistant>Well, "),
        ([USER, Message("assistant", "")], "<user>hi<assistant>"),
        ([USER, Message("assistant", "a\n\n")], "<user>hi<assistant>a\n\n"),
        (
            [USER, Message("assistant", "yes"), USER],
            "<user>hi<assistant>yes<user>hi<assistant>",
        ),
    ],
)
async def test_a_rendered_conversation_ends_with_the_generation_prompt(
    messages: list[Message], rendered: str
) -> None:
    assert read(await Renderer(Letters(), 100).render(messages)) == rendered


async def test_a_prompt_must_leave_one_token_of_context() -> None:
    length = len("<user>hi<assistant>")
    tokens = await Renderer(Letters(), length + 1).render_within_context([USER])
    assert len(tokens) == length
    with pytest.raises(PromptTooLong, match=f"{length} tokens.*holds {length}"):
        await Renderer(Letters(), length).render_within_context([USER])


async def test_only_long_texts_are_tokenized_in_a_thread() -> None:
    letters = Letters()
    renderer = Renderer(letters, 100)
    await renderer.render([Message("user", "x" * LONG_TEXT)])
    assert letters.threads == {threading.get_ident()}
    await renderer.render([Message("user", "x" * LONG_TEXT), USER])
    assert len(letters.threads) == 2


def test_single_token_is_none_for_several_tokens() -> None:
    renderer = Renderer(Letters(), 100)
    assert renderer.single_token("y") == ord("y")
    assert renderer.single_token("yes") is None
    assert renderer.single_token("") is None


def test_single_tokens_are_cached() -> None:
    letters = Letters()
    renderer = Renderer(letters, 100)
    assert [renderer.single_token("y") for _ in range(3)] == [ord("y")] * 3
    assert [renderer.single_token("no") for _ in range(3)] == [None] * 3
    assert letters.encoded == ["y", "no"]
