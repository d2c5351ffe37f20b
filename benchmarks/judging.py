"""Writes responses and judges all of them in one way or another, counting every token."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from app.domain.judgment import Judgment
from app.domain.prompt import Prompt
from app.domain.search import Sampling, Usage, derive_seed
from app.engine.base import ignore_delta
from app.roles.judge import JudgeCall
from app.search.run import WHOLE_CALL, Roles, TokenBudget
from benchmarks.context import Context
from benchmarks.measure import Stopwatch

Forget = Callable[[], Awaitable[None]]
AT_ONCE = 16
"""Responses written or judged at the same time."""


@dataclass(frozen=True, slots=True)
class Response:
    """A response to judge."""

    prompt: Prompt
    text: str


@dataclass(frozen=True, slots=True)
class Pass:
    """All responses judged in one way, in their order; `tokens` is what each judgment took."""

    seconds: float
    judgments: Sequence[Judgment]
    tokens: Sequence[int]


class Judging:
    """The base model's actor and judge; `forget` empties the engine's prefix cache."""

    def __init__(self, context: Context, roles: Roles, forget: Forget) -> None:
        self._context = context
        self._roles = roles
        self._forget = forget
        self._places = asyncio.Semaphore(AT_ONCE)

    async def respond(
        self, prompts: Sequence[Prompt], each: int, max_tokens: int
    ) -> list[Response]:
        """So many sampled responses to every prompt, without the empty ones and repetitions."""
        self._context.advance("writing the responses", 0)
        wanted = [(prompt, seed) for prompt in prompts for seed in range(each)]
        found = await asyncio.gather(*(self._write(*one, max_tokens) for one in wanted))
        different = {(made.prompt.instruction, made.text): made for made in found if made.text}
        return list(different.values())

    async def judge(self, label: str, responses: Sequence[Response], how: JudgeCall) -> Pass:
        """Judge all; each has a seed of its own, drawn from that of `how`."""
        self._context.advance(f"judging, {label}", 0)
        await self._forget()
        watch = Stopwatch()
        made = await asyncio.gather(*(self._judge(response, how) for response in responses))
        seconds = watch.seconds
        return Pass(seconds, [judgment for judgment, _ in made], [tokens for _, tokens in made])

    async def _write(self, prompt: Prompt, seed: int, max_tokens: int) -> Response:
        settings = self._context.settings
        sampling = Sampling(
            settings.response_temperature, settings.response_top_p, max_tokens, seed=seed
        )
        async with self._places:
            completion = await self._roles.actor.respond(
                prompt,
                model="actor@0",
                sampling=sampling,
                priority=0,
                chunk_tokens=WHOLE_CALL,
                on_delta=ignore_delta,
            )
        self._context.advance("", completion.completion_tokens)
        return Response(prompt, completion.text.strip())

    async def _judge(self, response: Response, how: JudgeCall) -> tuple[Judgment, int]:
        usage = Usage()
        seed = derive_seed(how.seed, response.prompt.instruction, response.text)
        async with self._places:
            judgment = await self._roles.judge.judge(
                response.prompt,
                response.text,
                replace(how, seed=seed),
                on_delta=TokenBudget(usage, None),
            )
        self._context.advance("", usage.completion_tokens)
        return judgment, usage.completion_tokens
