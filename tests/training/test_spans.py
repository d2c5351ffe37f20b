"""Exactly the assistant's tokens, and their end marks, are learnt."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.config import Refused
from training.datasets import IGNORED, Messages, Render, assistant_spans, label

TEXTS = st.text(max_size=12)
TURNS = st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=4)


def stable(messages: Messages, opened: bool) -> str:
    """A template like ChatML: each message only adds text at the end."""
    text = "".join(f"<{m['role']}>{m['content']}</s>\n" for m in messages)
    return f"{text}<assistant>" if opened else text


def ends_differently(messages: Messages, opened: bool) -> str:
    """A template that writes something before the last answer only, as reasoning models do."""
    last = len(messages) - 1
    parts = [
        f"<{m['role']}>{'<think></think>' if i == last else ''}{m['content']}</s>"
        for i, m in enumerate(messages)
    ]
    return "".join(parts) + ("<assistant>" if opened else "")


def shows_the_total(messages: Messages, opened: bool) -> str:
    """A template whose beginning depends on what follows."""
    return f"{len(messages)} messages: {stable(messages, opened)}"


def dialogue(turns: list[tuple[str, str]]) -> Messages:
    return [
        {"role": role, "content": content}
        for turn in turns
        for role, content in zip(("user", "assistant"), turn, strict=True)
    ]


@given(TURNS)
def test_every_answer_is_found_with_its_end_mark_and_nothing_else(
    turns: list[tuple[str, str]],
) -> None:
    text, spans = assistant_spans(dialogue(turns), stable)
    assert [text[start:end] for start, end in spans] == [f"{answer}</s>" for _, answer in turns]
    assert text == stable(dialogue(turns), False)


@given(TURNS, st.data())
def test_a_token_counts_exactly_if_it_begins_inside_an_answer(
    turns: list[tuple[str, str]], data: st.DataObject
) -> None:
    text, spans = assistant_spans(dialogue(turns), stable)
    cuts = sorted(data.draw(st.sets(st.integers(1, len(text) - 1))))
    offsets = list(zip([0, *cuts], [*cuts, len(text)], strict=True))
    labels = label(range(len(offsets)), offsets, spans)
    inside = {place for start, end in spans for place in range(start, end)}
    assert labels == [i if first in inside else IGNORED for i, (first, _) in enumerate(offsets)]


@pytest.mark.parametrize("template", [ends_differently, shows_the_total])
def test_a_template_that_does_not_render_stably_is_refused(
    template: Render,
) -> None:
    with pytest.raises(Refused, match="chat template renders a conversation's beginning differ"):
        assistant_spans(dialogue([("Hi", "Hello"), ("Again", "Hello")]), template)
