"""How long a response may be, so that every later request of the search fits the context."""

from app.domain.judgment import Judgment
from app.domain.prompt import Prompt
from app.domain.search import Mode
from app.engine.base import Engine
from app.errors import PromptTooLong
from app.roles.judge import judge_messages
from app.roles.refiner import refine_messages
from app.search.algorithms import ALGORITHMS

SHORTEST_RESPONSE = 16
"""Minimum length of a response, in tokens."""
SLACK = 32
"""Tokens for marks and verdicts, and for text that is tokenized into more tokens than it had."""
TOKENS_PER_FAILURE = 48
"""Tokens for the message of a constraint that is not met."""


async def response_budget(
    engine: Engine,
    prompt: Prompt,
    mode: Mode,
    *,
    critique_tokens: int,
    given: str | None = None,
) -> int:
    """The longest response, in tokens, that the prompt leaves space for in this mode.

    A judged response must fit the judge's question with a critique after it; a refined one must
    fit the refiner's request twice, as itself and as its rewrite. `given` is the response that the
    search begins with, if there is one: its rewrite must fit the request that holds it.

    Raises:
        PromptTooLong: fewer than 16 tokens remain.
        EngineUnavailable: the tokens cannot be counted.
    """
    algorithm = ALGORITHMS[mode]

    async def refining(response: str) -> int:
        """Tokens of the request to rewrite a response, its critique included."""
        request = refine_messages(prompt, response, Judgment((), (), accept_threshold=1.0))
        spent = await engine.count_tokens(request) + critique_tokens + SLACK
        return spent + TOKENS_PER_FAILURE * len(prompt.constraints)

    def left(spent: int, *, copies: int) -> int:
        """Tokens of the context left for each of `copies` copies of the response."""
        budget = (engine.context_tokens - spent) // copies
        if budget < SHORTEST_RESPONSE:
            raise PromptTooLong(
                f"mode {mode} needs {spent + copies * SHORTEST_RESPONSE} tokens for this prompt,"
                f" its judgments and the shortest answer; the model's context holds"
                f" {engine.context_tokens}",
                field="prompt",
            )
        return budget

    rewrite = None if given is None else left(await refining(given), copies=1)
    if algorithm.refines:
        budget = left(await refining(""), copies=2)
        return budget if rewrite is None else min(budget, rewrite)
    if rewrite is not None:
        return rewrite
    if not algorithm.always_judged and not prompt.constraints:
        return left(await engine.count_tokens(prompt.messages), copies=1)
    question = await engine.count_tokens(judge_messages(prompt, ""))
    return left(question + critique_tokens + SLACK, copies=1)
