"""A recorded search, sent straight to vLLM as early as its dependencies allow."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

from app.engine.rendering import Renderer
from benchmarks.forcing import Recorded

if TYPE_CHECKING:
    from vllm import SamplingParams
    from vllm.v1.engine.async_llm import AsyncLLM


@dataclass(frozen=True, slots=True)
class Request:
    """A call as vLLM takes it, and those that may be sent when it has ended."""

    prompt: list[int]
    params: "SamplingParams"
    then: list["Request"]


Steps = list[list[Request]]


@dataclass(slots=True)
class Tally:
    """Tokens generated, and the completions' prompt tokens found in the prefix cache."""

    tokens: int = 0
    cached_tokens: int = 0


async def as_requests(steps: Sequence[Sequence[Recorded]], renderer: Renderer) -> Steps:
    """Render what was recorded, before anything is timed."""
    return [[await _as_request(recorded, renderer) for recorded in step] for step in steps]


class Replayer:
    """Sends requests to vLLM, and counts."""

    def __init__(self, llm: "AsyncLLM") -> None:
        self._llm = llm
        self._numbers = count(1)
        self.tally = Tally()

    async def replay(self, steps: Steps) -> None:
        """Step after step; within a step, every request as soon as the one before it has ended."""
        for step in steps:
            await asyncio.gather(*(self._follow(request) for request in step))

    async def _follow(self, request: Request) -> None:
        await self._send(request)
        await asyncio.gather(*(self._follow(later) for later in request.then))

    async def _send(self, request: Request) -> None:
        from vllm.inputs.engine import tokens_input

        prompt = tokens_input(request.prompt)
        request_id = f"replay-{next(self._numbers)}"
        async for output in self._llm.generate(prompt, request.params, request_id):
            self.tally.tokens += len(output.outputs[0].token_ids)
            if request.params.logprob_token_ids is None:
                self.tally.cached_tokens += output.num_cached_tokens or 0


async def _as_request(recorded: Recorded, renderer: Renderer) -> Request:
    prompt = await renderer.render(recorded.call.messages)
    then = [await _as_request(later, renderer) for later in recorded.then]
    return Request(prompt, _params(recorded, renderer), then)


def _params(recorded: Recorded, renderer: Renderer) -> "SamplingParams":
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    if recorded.options:
        tokens = {renderer.single_token(option) for option in recorded.options}
        return SamplingParams(
            temperature=0,
            max_tokens=1,
            logprob_token_ids=sorted(token for token in tokens if token is not None),
            output_kind=RequestOutputKind.FINAL_ONLY,
        )
    sampling = recorded.call.sampling
    return SamplingParams(
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        max_tokens=sampling.max_tokens,
        seed=sampling.seed,
        ignore_eos=True,
        output_kind=RequestOutputKind.FINAL_ONLY,
    )
