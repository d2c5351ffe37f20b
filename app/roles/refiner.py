"""The refiner: rewrites a response, given what its judgment found."""

from dataclasses import replace

from app.domain.judgment import Judgment
from app.domain.prompt import Message, Prompt
from app.domain.sampling import Sampling, derive_seed
from app.engine.base import Call, Completion, Engine, OnDelta
from app.roles.judge import VERDICT_LINE, judge_messages
from app.roles.templates import fill

OPEN, CLOSE = "<answer>", "</answer>"


def refine_messages(prompt: Prompt, response: str, judgment: Judgment) -> tuple[Message, ...]:
    """The dialogue so far: the judge's question, its critique, and the request to rewrite."""
    verdict = " yes" if judgment.accepted else " no"
    failures = "\n".join(f"- {message}" for message in judgment.failures)
    findings = fill("findings", failures=failures) + "\n\n" if failures else ""
    return (
        *judge_messages(prompt, response),
        Message("assistant", judgment.explanation + VERDICT_LINE + verdict),
        Message("user", fill("refine", findings=findings)),
    )


class Refiner:
    """Rewrites responses through the engine."""

    def __init__(self, engine: Engine, *, reflection_tokens: int) -> None:
        self._engine = engine
        self._reflection_tokens = reflection_tokens

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
        """A reflection, then the rewrite between an opened and a closing mark.

        The opening mark is written for the model, so that no rewrite is lost to a missing one.
        `sampling` applies to the rewrite; its stop strings too. Raises the engine's errors.
        """
        dialogue = refine_messages(prompt, response, judgment)
        reflection = await self._reflect(
            Call(dialogue, model, sampling, priority, chunk_tokens=chunk_tokens), on_delta
        )
        opened = f"{reflection}\n\n{OPEN}\n".lstrip()
        call = Call(
            (*dialogue, Message("assistant", opened)),
            model,
            replace(sampling, stop=(*sampling.stop, CLOSE)),
            priority,
            chunk_tokens=chunk_tokens,
        )
        completion = await self._engine.complete(call, on_delta)
        return replace(completion, text=completion.text.strip())

    async def _reflect(self, call: Call, on_delta: OnDelta) -> str:
        """What has to change, in the refiner's words; empty when reflections are switched off."""
        if self._reflection_tokens == 0:
            return ""
        sampling = replace(
            call.sampling,
            max_tokens=self._reflection_tokens,
            seed=derive_seed(call.sampling.seed, "reflection"),
            stop=(OPEN,),
        )
        return (
            await self._engine.complete(replace(call, sampling=sampling), on_delta)
        ).text.strip()
