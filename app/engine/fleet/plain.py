"""How a server is asked that cannot go on with an opened answer, or tell log-probabilities."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from app.domain.prompt import Message
from app.domain.sampling import Sampling
from app.engine.base import Call, Completion

MOST_LOGPROBS = 20
"""The likeliest tokens that OpenAI's interface tells at most."""
WORDS_TOKENS = 4
FLOOR = math.log(1e-9)
"""Stands for the log-probability of an option that is not among the likeliest tokens."""


def without_prefill(call: Call) -> Call:
    """The same call without its opened answer, which the conversation must not depend on."""
    if call.messages[-1].role != "assistant":
        return call
    return replace(call, messages=call.messages[:-1])


def question(call: Call, options: Sequence[str], *, prefills: bool, logprobs: bool) -> Call:
    """A call whose answer says which of the options comes next.

    Where the opened answer cannot be continued, it is given as said, and the option is asked for.
    """
    messages = call.messages
    if not prefills and messages[-1].role == "assistant":
        words = " or ".join(dict.fromkeys(option.strip().lower() for option in options))
        messages = (*messages, Message("user", f"Go on with one word: {words}."))
    length = 1 if logprobs else WORDS_TOKENS
    return replace(
        call,
        messages=messages,
        sampling=Sampling(temperature=0.0, top_p=1.0, max_tokens=length),
        logprobs=MOST_LOGPROBS if logprobs else None,
        logprob_token_ids=(),
    )


def read_scores(completion: Completion, options: Sequence[str]) -> Mapping[str, float]:
    """The options' log-probabilities in an answer to `question`; nothing if it says none of them.

    Spaces around a token do not count: whether a word has one depends on what was before it.
    """
    found: dict[str, float] = {}
    if completion.logprobs:
        for token in completion.logprobs[0].top:
            known = found.get(token.token.strip(), -math.inf)
            found[token.token.strip()] = max(known, token.logprob)
    if not any(option.strip() in found for option in options):
        found = _as_said(completion.text, options)
    if not found:
        return {}
    return {option: max(found.get(option.strip(), FLOOR), FLOOR) for option in options}


def _as_said(text: str, options: Sequence[str]) -> dict[str, float]:
    """The options that the text's first word is, in whatever case."""
    words = text.split()
    first = words[0].strip(".,:;!*\"'").casefold() if words else ""
    return {option.strip(): 0.0 for option in options if option.strip().casefold() == first}


def estimated_tokens(messages: Sequence[Message]) -> int:
    """About how many tokens a conversation has, rather too many: three bytes to a token."""
    return sum(len(message.content.encode()) // 3 + 8 for message in messages)
