"""How long a response may be, so that everything a search asks later still fits the context."""

from app.domain.judgment import Judgment
from app.domain.prompt import Prompt
from app.domain.search import Mode
from app.engine.base import Engine
from app.errors import PromptTooLong
from app.roles.judge import judge_messages
from app.roles.refiner import refine_messages

SHORTEST_RESPONSE = 16
"""Tokens below which answering makes no sense."""
SLACK = 32
"""Tokens for marks and verdicts, and for text that reads back as more tokens than it had."""
TOKENS_PER_FAILURE = 48
"""Room for the message of a constraint that is not met."""


async def response_budget(
    engine: Engine,
    prompt: Prompt,
    mode: Mode,
    *,
    critique_tokens: int,
    given: str | None = None,
) -> int:
    """The longest response, in tokens, that the prompt leaves room for in this mode.

    A judged response must fit the judge's question with a critique after it; a refined one must
    fit the refiner's request twice, as itself and as its rewrite. `given` is the response that the
    search begins with, if there is one: its rewrite must fit the request that holds it. Raises
    `PromptTooLong` when fewer than 16 tokens remain.
    """
    once = mode in (Mode.GREEDY, Mode.BEST_OF_N)
    if given is not None:
        spent = await _refining(engine, prompt, given, critique_tokens)
        room = _left(engine, mode, spent, copies=1)
        if once:
            return room
        spent = await _refining(engine, prompt, "", critique_tokens)
        return min(room, _left(engine, mode, spent, copies=2))
    if mode is Mode.GREEDY and not prompt.constraints:
        return _left(engine, mode, await engine.count_tokens(prompt.messages), copies=1)
    if once:
        spent = await engine.count_tokens(judge_messages(prompt, "")) + critique_tokens + SLACK
        return _left(engine, mode, spent, copies=1)
    spent = await _refining(engine, prompt, "", critique_tokens)
    return _left(engine, mode, spent, copies=2)


async def _refining(engine: Engine, prompt: Prompt, response: str, critique_tokens: int) -> int:
    """Tokens of the request to rewrite a response, its critique included."""
    dialogue = refine_messages(prompt, response, Judgment((), (), accept_threshold=1.0))
    spent = await engine.count_tokens(dialogue) + critique_tokens + SLACK
    return spent + TOKENS_PER_FAILURE * len(prompt.constraints)


def _left(engine: Engine, mode: Mode, spent: int, *, copies: int) -> int:
    """What is left of the context for each of so many responses. Raises `PromptTooLong`."""
    room = (engine.context_tokens - spent) // copies
    if room < SHORTEST_RESPONSE:
        raise PromptTooLong(
            f"mode {mode} needs {spent + copies * SHORTEST_RESPONSE} tokens for this prompt, its"
            f" judgments and the shortest answer; the model's context holds"
            f" {engine.context_tokens}",
            field="prompt",
        )
    return room
