"""The actor: answers the prompt."""

from app.domain.prompt import Prompt
from app.domain.search import Sampling
from app.engine.base import CallContext, Completion, Engine


class Actor:
    """Answers prompts through the engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def respond(self, prompt: Prompt, sampling: Sampling, context: CallContext) -> Completion:
        """One response to the prompt.

        Raises:
            SparError: what `Engine.complete` raises.
        """
        return await self._engine.complete(
            context.call(prompt.messages, sampling), context.on_delta
        )
