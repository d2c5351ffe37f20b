"""The refiner: rewrites a response, given what its judgment found."""

from dataclasses import replace

from app.domain.judgment import Judgment
from app.domain.prompt import Message, Prompt
from app.domain.search import Sampling
from app.engine.base import Call, Completion, Engine, OnDelta
from app.roles.templates import fill, transcript

OPENING = "Here is the new answer:\n\n"
"""Written for the refiner, so that what it writes is the answer and not talk about it."""
NO_REVIEW = "It does not meet every requirement yet."


def refine_messages(prompt: Prompt, response: str, judgment: Judgment) -> tuple[Message, ...]:
    """The request to rewrite: instruction, response, review, and the instruction once more.

    The instruction comes last because a small model continues what it read last: at the end of the
    judge's dialogue it repeats our request instead of answering (docs/self-play.md has figures).
    """
    text = fill(
        "refine",
        conversation=transcript(prompt),
        response=response,
        review=_review(judgment),
        instruction=prompt.instruction,
    )
    return (Message("user", text),)


def _review(judgment: Judgment) -> str:
    """What a vote and the checkers found."""
    failures = "\n".join(f"- {message}" for message in judgment.failures)
    findings = fill("findings", failures=failures) if failures else ""
    return "\n\n".join(filter(None, (judgment.explanation, findings))) or NO_REVIEW


class Refiner:
    """Rewrites responses through the engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def refine(
        self,
        prompt: Prompt,
        response: str,
        judgment: Judgment,
        *,
        model: str,
        sampling: Sampling,
        priority: int,
        chunk_tokens: int,
        on_delta: OnDelta,
    ) -> Completion:
        """The rewritten response, continued from `OPENING`. Raises the engine's errors."""
        dialogue = (*refine_messages(prompt, response, judgment), Message("assistant", OPENING))
        call = Call(dialogue, model, sampling, priority, chunk_tokens=chunk_tokens)
        completion = await self._engine.complete(call, on_delta)
        return replace(completion, text=completion.text.strip())
