"""The actor: answers the prompt."""

from app.domain.prompt import Prompt
from app.domain.search import Sampling
from app.engine.base import Call, Completion, Engine, OnDelta


class Actor:
    """Answers prompts through the engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def respond(
        self,
        prompt: Prompt,
        *,
        model: str,
        sampling: Sampling,
        priority: int,
        chunk_tokens: int,
        shown: bool = False,
        on_delta: OnDelta,
    ) -> Completion:
        """One response to the prompt. Raises the engine's errors."""
        call = Call(
            prompt.messages, model, sampling, priority, chunk_tokens=chunk_tokens, shown=shown
        )
        return await self._engine.complete(call, on_delta)
