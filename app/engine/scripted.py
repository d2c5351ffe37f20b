"""An engine that says what a test tells it to: for the search driver's own logic."""

from collections.abc import Awaitable, Callable, Mapping, Sequence

from app.domain.prompt import Message
from app.engine.base import Call, Completion, Delta, OnDelta, ignore_delta

Script = Callable[[Call], Awaitable[str]]
"""Given a call, the text to generate; awaiting inside it decides when the call ends."""


class ScriptedEngine:
    """Replies by script; a word is a token. Keeps lists of what was started and aborted."""

    context_tokens = 4096
    ready = True
    restarts = 0

    def __init__(self, script: Script, log_probability: Callable[[Call, str], float]) -> None:
        self._script = script
        self._log_probability = log_probability
        self.started: list[Call] = []
        self.aborted: list[Call] = []
        self.running = 0

    @property
    def unfinished(self) -> int:
        """Calls whose script has not ended."""
        return self.running

    async def complete(self, call: Call, on_delta: OnDelta = ignore_delta) -> Completion:
        """The scripted text, cut to `max_tokens` words and before the first stop string."""
        prompt_tokens = await self.count_tokens(call.messages)
        on_delta(Delta(prompt_tokens=prompt_tokens))
        self.started.append(call)
        self.running += 1
        try:
            text = await self._script(call)
        except BaseException:
            self.aborted.append(call)
            raise
        finally:
            self.running -= 1
        for stop in call.sampling.stop:
            text = text.split(stop)[0]
        words = text.split(" ")
        kept = words[: call.sampling.max_tokens]
        text = " ".join(kept)
        on_delta(Delta(text, len(kept)))
        cut = len(kept) < len(words)
        return Completion(text, "length" if cut else "stop", prompt_tokens, len(kept))

    async def score(
        self, call: Call, options: Sequence[str], on_delta: OnDelta = ignore_delta
    ) -> Mapping[str, float]:
        """The scripted log-probability of each option."""
        on_delta(Delta(prompt_tokens=await self.count_tokens(call.messages)))
        on_delta(Delta(completion_tokens=1))
        return {option: self._log_probability(call, option) for option in options}

    async def count_tokens(self, messages: Sequence[Message]) -> int:
        """Words of all messages."""
        return sum(len(message.content.split()) for message in messages)
