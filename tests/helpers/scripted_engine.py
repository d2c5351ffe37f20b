"""A scripted engine: tests of the search logic without a model."""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from app.domain.checkpoint import Role, parse_served_name
from app.domain.prompt import Message
from app.engine.base import (
    Call,
    Completion,
    Delta,
    OnDelta,
    PositionLogprobs,
    TokenLogprob,
    ignore_delta,
)
from app.engine.process import engine_asleep
from app.errors import EngineError

Script = Callable[[Call], Awaitable[str]]
"""Returns the text to generate for a call, which ends when it returns."""


class ScriptedEngine:
    """Generates scripted text, one token per word; `started` and `aborted` list the calls."""

    context_tokens = 4096
    ready = True
    restarts = 0
    max_adapter_rank = 16
    separate_roles = True
    adapter_targets: frozenset[str] | None = None

    def __init__(self, script: Script, log_probability: Callable[[Call, str], float]) -> None:
        self._script = script
        self._log_probability = log_probability
        self.started: list[Call] = []
        self.aborted: list[Call] = []
        self.running = 0
        self.asleep = False
        self.sleeps = 0
        self.adapters: dict[str, Path] = {}
        self.weights: dict[Role, tuple[str, Path]] = {}
        self._vocabulary: list[str] = []

    @property
    def unfinished(self) -> int:
        """Calls whose script has not ended."""
        return self.running

    async def complete(self, call: Call, on_delta: OnDelta = ignore_delta) -> Completion:
        """The scripted text, cut to `max_tokens` words and before the first stop string."""
        self._check_served(call.model)
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
        logprobs = tuple(self._position(call, word) for word in kept if call.logprob_token_ids)
        on_delta(Delta(text, len(kept), logprobs=logprobs))
        return Completion(
            text=text,
            finish_reason="length" if len(kept) < len(words) else "stop",
            prompt_tokens=prompt_tokens,
            completion_tokens=len(kept),
            logprobs=logprobs,
        )

    async def score(
        self, call: Call, options: Sequence[str], on_delta: OnDelta = ignore_delta
    ) -> Mapping[str, float]:
        """The scripted log-probability of each option."""
        self._check_served(call.model)
        on_delta(Delta(prompt_tokens=await self.count_tokens(call.messages)))
        on_delta(Delta(completion_tokens=1))
        return {option: self._log_probability(call, option) for option in options}

    async def count_tokens(self, messages: Sequence[Message]) -> int:
        """Number of words of all messages."""
        return sum(len(message.content.split()) for message in messages)

    async def tokenize(
        self, content: str | Sequence[Message], *, special_tokens: bool = False
    ) -> list[int]:
        """One id per word including its leading space; texts start with one special token."""
        texts = [content] if isinstance(content, str) else [m.content for m in content]
        words = [word for text in texts for word in re.findall(r"\s*\S+", text)]
        return [self._id(word) for word in (["<s>"] if special_tokens else []) + words]

    async def load_adapter(self, name: str, path: Path) -> None:
        """Register the adapter."""
        self.adapters[name] = path

    async def unload_adapter(self, name: str) -> None:
        """Unregister the adapter."""
        self.adapters.pop(name, None)

    async def load_weights(self, name: str, folder: Path) -> None:
        """Set the weights of the role, and unregister its adapters."""
        served = parse_served_name(name)
        assert served is not None, "weights have a name such as actor@3"
        self.weights[served[0]] = (name, folder)
        self.adapters = {
            adapter: path
            for adapter, path in self.adapters.items()
            if not adapter.startswith(f"{served[0]}@")
        }

    async def sleep(self) -> None:
        """Reject calls; requires that none is in progress."""
        assert not self.running, "a call is cut off"
        self.asleep, self.ready = True, False
        self.sleeps += 1

    async def wake_up(self) -> None:
        """Accept calls again."""
        self.asleep, self.ready = False, True

    def _check_served(self, name: str) -> None:
        """Reject all calls while asleep, and calls to replaced weights."""
        if self.asleep:
            raise engine_asleep()
        served = parse_served_name(name)
        if served is None or name in self.adapters:
            return
        if served[0] in self.weights and self.weights[served[0]][0] != name:
            raise EngineError(f"the engine does not serve {name}")

    def _id(self, word: str) -> int:
        if word not in self._vocabulary:
            self._vocabulary.append(word)
        return self._vocabulary.index(word)

    def _position(self, call: Call, word: str) -> PositionLogprobs:
        """The scripted log-probabilities of the requested tokens at the position of `word`."""
        ids = dict.fromkeys((self._id(word), *call.logprob_token_ids))
        tokens = [
            TokenLogprob(self._vocabulary[i], self._log_probability(call, self._vocabulary[i]), i)
            for i in ids
        ]
        return PositionLogprobs(tokens[0], tuple(tokens))
