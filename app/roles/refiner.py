"""The refiner: rewrites a response, given what its judgment found."""

from dataclasses import replace

from app.domain.judgment import Judgment
from app.domain.prompt import Message, Prompt
from app.domain.search import Sampling
from app.engine.base import CallContext, Completion, Engine
from app.roles.templates import fill, transcript

OPENING = "Here is the new answer:\n\n"
"""Prefilled, so that the refiner generates the answer without an introduction."""
NO_REVIEW = "It does not meet every requirement yet."


def refine_messages(prompt: Prompt, response: str, judgment: Judgment) -> tuple[Message, ...]:
    """The request to rewrite: instruction, response, review, and the instruction once more.

    The instruction comes last because a small model continues the end of its context: after
    the judge's dialogue it repeats the request instead of answering it (docs/self-play.md has
    measurements).
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
    """The explanation of a vote, and what the constraint checkers found."""
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
        sampling: Sampling,
        context: CallContext,
    ) -> Completion:
        """The rewritten response, continued from `OPENING`.

        Raises:
            SparError: what `Engine.complete` raises.
        """
        messages = (*refine_messages(prompt, response, judgment), Message("assistant", OPENING))
        completion = await self._engine.complete(context.call(messages, sampling), context.on_delta)
        return replace(completion, text=completion.text.strip())
