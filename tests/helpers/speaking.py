"""A scripted engine that streams word by word, as a real one decodes token by token."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from app.engine.base import Call, Completion, Delta, OnDelta, ignore_delta
from tests.helpers.scripted_engine import Script, ScriptedEngine
from tests.helpers.scripts import verdict_of_critique

Pace = Callable[[Call, int], Awaitable[None]]
"""Awaited before each word, with the number of words so far."""

TURNS_PER_STEP = 50


async def decoding_step(call: Call, position: int) -> None:
    """Let all pending tasks run."""
    for _ in range(TURNS_PER_STEP):
        await asyncio.sleep(0)


class SpeakingEngine(ScriptedEngine):
    """Reports every `chunk_tokens` words, and the remainder at the end or on cancellation.

    `prompt_tokens` and `completion_tokens` are totals of all calls, `peak` the maximum
    number of concurrent calls.
    """

    def __init__(
        self,
        script: Script,
        pace: Pace = decoding_step,
        log_probability: Callable[[Call, str], float] = verdict_of_critique,
    ) -> None:
        super().__init__(script, log_probability)
        self._pace = pace
        self.prompt_tokens = 0
        self.completion_tokens = 0
        self.peak = 0

    async def complete(self, call: Call, on_delta: OnDelta = ignore_delta) -> Completion:
        prompt_tokens = await self.count_tokens(call.messages)
        self.prompt_tokens += prompt_tokens
        on_delta(Delta(prompt_tokens=prompt_tokens))
        self.started.append(call)
        self.running += 1
        self.peak = max(self.peak, self.running)
        try:
            words = _until(call.sampling.stop, await self._script(call)).split(" ")
            said = words[: call.sampling.max_tokens]
            await self._speak(call, said, on_delta)
        except asyncio.CancelledError:
            self.aborted.append(call)
            raise
        finally:
            self.running -= 1
        cut = len(said) < len(words)
        logprobs = tuple(self._position(call, word) for word in said if call.logprob_token_ids)
        return Completion(
            " ".join(said),
            "length" if cut else "stop",
            prompt_tokens,
            len(said),
            logprobs=logprobs,
        )

    async def score(
        self, call: Call, options: Sequence[str], on_delta: OnDelta = ignore_delta
    ) -> dict[str, float]:
        prompt_tokens = await self.count_tokens(call.messages)
        self.prompt_tokens += prompt_tokens
        on_delta(Delta(prompt_tokens=prompt_tokens))
        self.running += 1
        try:
            await self._pace(call, 0)
        finally:
            self.running -= 1
        self.completion_tokens += 1
        on_delta(Delta(completion_tokens=1))
        return {option: self._log_probability(call, option) for option in options}

    async def _speak(self, call: Call, words: list[str], on_delta: OnDelta) -> None:
        unreported: list[str] = []

        def report() -> None:
            if unreported:
                on_delta(Delta("".join(unreported), len(unreported)))
                unreported.clear()

        try:
            for position, word in enumerate(words):
                await self._pace(call, position)
                self.completion_tokens += 1
                unreported.append(f" {word}" if position else word)
                if len(unreported) >= call.chunk_tokens:
                    report()
        finally:
            report()


def _until(stops: tuple[str, ...], text: str) -> str:
    for stop in stops:
        text = text.partition(stop)[0]
    return text
