"""Fallbacks for servers without prefill or log-probabilities."""

import math

import pytest

from app.domain.prompt import Message
from app.domain.search import Sampling
from app.engine.base import Call, Completion, PositionLogprobs, TokenLogprob
from app.engine.pool.admin_client import (
    FLOOR,
    estimated_tokens,
    question,
    read_scores,
    without_prefill,
)
from app.roles.votes import NO, YES, yes_probability

ASKED = Message("user", "Is it good?")
OPENED = Message("assistant", "It is. Verdict:")
CALL = Call((ASKED, OPENED), "refiner@0", Sampling(0.7, 0.9, 64), logprob_token_ids=(1,))
OPTIONS = (*YES, *NO)


def said(text: str, *top: tuple[str, float]) -> Completion:
    """A completion with the top tokens of its first position."""
    tokens = tuple(TokenLogprob(token, logprob) for token, logprob in top)
    logprobs = (PositionLogprobs(tokens[0], tokens),) if tokens else ()
    return Completion(text, "stop", 1, 1, logprobs=logprobs)


def test_without_prefill_removes_the_last_assistant_message() -> None:
    assert without_prefill(CALL).messages == (ASKED,)
    assert without_prefill(without_prefill(CALL)).messages == (ASKED,)


def test_without_prefill_support_a_user_message_requests_an_option() -> None:
    asked = question(CALL, OPTIONS, prefills=False, logprobs=True)
    assert asked.messages == (ASKED, OPENED, Message("user", "Go on with one word: yes or no."))
    assert (asked.logprobs, asked.logprob_token_ids, asked.sampling.max_tokens) == (20, (), 1)


def test_with_prefill_support_the_messages_are_unchanged() -> None:
    asked = question(CALL, OPTIONS, prefills=True, logprobs=False)
    assert asked.messages == CALL.messages
    assert (asked.logprobs, asked.sampling.max_tokens) == (None, 4)


def test_scores_are_read_from_the_top_tokens() -> None:
    answer = said("Yes", ("Yes", math.log(0.6)), (" no", math.log(0.2)), ("Well", -3.0))
    probability = yes_probability(read_scores(answer, OPTIONS))
    assert probability == pytest.approx(0.75, abs=1e-6)


@pytest.mark.parametrize(
    ("text", "expected"), [("Yes.", 1.0), ("no", 0.0), ("**YES**, it is", 1.0), ("No!", 0.0)]
)
def test_without_logprobs_the_first_word_decides(text: str, expected: float) -> None:
    assert yes_probability(read_scores(said(text), OPTIONS)) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("text", ["", "Perhaps", "I say yes"])
def test_another_word_gives_no_scores(text: str) -> None:
    assert read_scores(said(text, *[(text, -0.1)] * bool(text)), OPTIONS) == {}


def test_options_outside_the_top_tokens_get_the_floor() -> None:
    scores = read_scores(said("yes", (" yes", -0.01)), OPTIONS)
    assert scores[" no"] == FLOOR
    assert scores[" yes"] == -0.01


def test_the_token_estimate_is_an_upper_bound() -> None:
    text = "Name three rivers of Africa, and say how long each of them is."
    assert estimated_tokens((Message("user", text),)) > len(text.split())
