"""The local engine: vLLM's AsyncLLM, with the model in a child process."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from app.domain.prompt import Message
from app.engine.adapters import Adapters
from app.engine.arguments import EngineConfig
from app.engine.base import (
    Call,
    Completion,
    Delta,
    OnDelta,
    PositionLogprobs,
    TokenLogprob,
    ignore_delta,
)
from app.engine.full_weights import FullWeights
from app.engine.metrics import EngineMetrics
from app.engine.process import EngineProcess, SleepMode
from app.engine.rendering import Renderer
from app.errors import EngineError, EngineUnavailable, InvalidRequest

if TYPE_CHECKING:
    from vllm import SamplingParams
    from vllm.outputs import CompletionOutput, RequestOutput
    from vllm.v1.engine.async_llm import AsyncLLM

ABORT_AGAIN_SECONDS = 0.01


class VllmEngine:
    """An `AdapterEngine` and `SleepyEngine` over vLLM's AsyncLLM."""

    separate_roles = False

    def __init__(self, config: EngineConfig) -> None:
        self._process = EngineProcess(config, self._renew)
        self._config = config
        self._adapters = Adapters()
        self._weights = FullWeights(self._process, self._adapters)
        self._sleep = SleepMode(self._process)
        self._renderer: Renderer | None = None
        self._numbers = count(1)

    async def start(self) -> None:
        """Load the model (tens of seconds).

        Raises:
            ConfigurationError: vLLM rejects the model or the arguments.
        """
        await self._process.start()

    async def close(self) -> None:
        """Stop the engine and its processes."""
        await self._process.close()

    @property
    def ready(self) -> bool:
        """See `Engine.ready`."""
        return self._process.ready

    @property
    def restarts(self) -> int:
        """See `Engine.restarts`."""
        return self._process.restarts

    @property
    def context_tokens(self) -> int:
        """See `Engine.context_tokens`."""
        return self._config.context_tokens

    @property
    def unfinished(self) -> int:
        """See `Engine.unfinished`."""
        return self._process.llm.get_num_unfinished_requests() if self.ready else 0

    @property
    def metrics(self) -> Mapping[str, EngineMetrics]:
        """See `MeasuredEngine.metrics`."""
        return {"all": self._process.metrics}

    @property
    def max_adapter_rank(self) -> int:
        """See `AdapterEngine.max_adapter_rank`."""
        return self._config.adapter_rank

    @property
    def adapter_targets(self) -> frozenset[str] | None:
        """See `AdapterEngine.adapter_targets`."""
        targets = self._config.targets
        return None if targets is None else frozenset(targets)

    async def load_adapter(self, name: str, path: Path) -> None:
        """See `AdapterEngine.load_adapter`."""
        await self._adapters.load(self._process.llm, name, path)

    async def unload_adapter(self, name: str) -> None:
        """See `AdapterEngine.unload_adapter`."""
        await self._adapters.unload(self._process.llm, name)

    async def load_weights(self, name: str, folder: Path) -> None:
        """Replace the weights of every role; see `AdapterEngine.load_weights`."""
        await self._weights.load(name, folder)

    @property
    def asleep(self) -> bool:
        """See `SleepyEngine.asleep`."""
        return self._process.asleep

    async def sleep(self) -> None:
        """See `SleepyEngine.sleep`."""
        await self._sleep.begin()

    async def wake_up(self) -> None:
        """See `SleepyEngine.wake_up`."""
        await self._sleep.end()

    async def count_tokens(self, messages: Sequence[Message]) -> int:
        """See `Engine.count_tokens`."""
        return len(await self._render.render(messages))

    async def tokenize(
        self, content: str | Sequence[Message], *, special_tokens: bool = False
    ) -> list[int]:
        """See `Engine.tokenize`."""
        if isinstance(content, str):
            return await self._render.encode(content, special_tokens=special_tokens)
        return await self._render.render(content)

    async def complete(self, call: Call, on_delta: OnDelta = ignore_delta) -> Completion:
        """See `Engine.complete`."""
        from vllm import SamplingParams
        from vllm.exceptions import VLLMValidationError
        from vllm.sampling_params import RequestOutputKind

        prompt = await self._render.render_within_context(call.messages)
        sampling = call.sampling
        max_tokens = min(sampling.max_tokens, self._config.context_tokens - len(prompt))
        params = SamplingParams(
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            max_tokens=max_tokens,
            seed=sampling.seed,
            stop=list(sampling.stop),
            logprobs=None if call.logprob_token_ids else call.logprobs,
            logprob_token_ids=list(call.logprob_token_ids) or None,
            output_kind=RequestOutputKind.DELTA,
            stream_interval=call.chunk_tokens,
            skip_clone=True,
        )
        progress = _Progress(len(prompt), call.alternatives, on_delta)
        try:
            await self._run(prompt, params, call, progress)
        except VLLMValidationError as error:
            raise InvalidRequest(str(error.args[0]), field=error.parameter) from error
        return progress.completion()

    async def score(
        self, call: Call, options: Sequence[str], on_delta: OnDelta = ignore_delta
    ) -> Mapping[str, float]:
        """See `Engine.score`."""
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        prompt = await self._render.render_within_context(call.messages)
        tokens = {option: self._render.single_token(option) for option in options}
        wanted = sorted({token for token in tokens.values() if token is not None})
        if not wanted:
            return {}
        params = SamplingParams(
            temperature=0,
            max_tokens=1,
            logprob_token_ids=wanted,
            output_kind=RequestOutputKind.FINAL_ONLY,
            skip_clone=True,
        )
        progress = _Progress(len(prompt), 0, on_delta)
        output = await self._run(prompt, params, call, progress)
        assert output.logprobs is not None, "log-probabilities were requested"
        scores = output.logprobs[0]
        return {
            option: scores[token].logprob for option, token in tokens.items() if token in scores
        }

    @property
    def _render(self) -> Renderer:
        """The renderer of the running engine."""
        _ = self._process.llm  # raises EngineUnavailable while there is no engine
        assert self._renderer is not None, "`_renew` runs before the engine is available"
        return self._renderer

    def _renew(self, llm: "AsyncLLM") -> None:
        self._renderer = Renderer(llm.get_tokenizer(), self._config.context_tokens)

    async def _run(
        self, prompt: list[int], params: "SamplingParams", call: Call, progress: "_Progress"
    ) -> "CompletionOutput":
        """Run one request to its end; when cancelled, abort it and report its partial output."""
        from vllm.inputs.engine import tokens_input
        from vllm.v1.engine.exceptions import EngineDeadError, EngineGenerateError

        llm = self._process.llm
        request_id = f"call-{next(self._numbers)}"
        adapter = self._adapters.request(call.model)
        outputs = llm.generate(
            tokens_input(prompt), params, request_id, lora_request=adapter, priority=call.priority
        )
        work = asyncio.create_task(_consume(outputs, progress))
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            await _abort(llm, request_id, work)
            raise
        except EngineDeadError as error:
            raise EngineUnavailable(
                "the engine died during the call; it is being restarted", retry_after=30
            ) from error
        except EngineGenerateError as error:
            raise EngineError(f"the engine could not finish the call: {error.__cause__}") from error


async def _abort(llm: "AsyncLLM", request_id: str, work: "asyncio.Task[CompletionOutput]") -> None:
    """Abort a request; vLLM then returns its unreported output without another decoding step.

    vLLM ignores aborts of a request that has not reached it yet, so the abort is repeated.
    """
    try:
        while not work.done():
            await llm.abort(request_id)
            await asyncio.wait({work}, timeout=ABORT_AGAIN_SECONDS)
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)


async def _consume(
    outputs: "AsyncIterator[RequestOutput]", progress: "_Progress"
) -> "CompletionOutput":
    """Add every output of a request to `progress`; return the last one."""
    last: CompletionOutput | None = None
    async for output in outputs:
        progress.add(output)
        last = output.outputs[0]
    assert last is not None, "a request ends with an output"
    return last


class _Progress:
    """Accumulates a request's outputs and reports each to the caller."""

    def __init__(self, prompt_tokens: int, alternatives: int, on_delta: OnDelta) -> None:
        self._alternatives = alternatives
        self._on_delta = on_delta
        self._prompt_tokens = prompt_tokens
        self._cached_tokens = 0
        self._completion_tokens = 0
        self._text: list[str] = []
        self._logprobs: list[PositionLogprobs] = []
        self._finish_reason: str | None = None
        on_delta(Delta(prompt_tokens=prompt_tokens))

    def add(self, output: "RequestOutput") -> None:
        part = output.outputs[0]
        logprobs = _positions(part, self._alternatives)
        self._text.append(part.text)
        self._logprobs.extend(logprobs)
        self._completion_tokens += len(part.token_ids)
        self._finish_reason = part.finish_reason
        self._cached_tokens = output.num_cached_tokens or 0
        self._on_delta(Delta(part.text, len(part.token_ids), logprobs=logprobs))

    def completion(self) -> Completion:
        return Completion(
            text="".join(self._text),
            finish_reason="length" if self._finish_reason == "length" else "stop",
            prompt_tokens=self._prompt_tokens,
            completion_tokens=self._completion_tokens,
            cached_tokens=self._cached_tokens,
            logprobs=tuple(self._logprobs),
        )


def _positions(output: "CompletionOutput", alternatives: int) -> tuple[PositionLogprobs, ...]:
    """Each generated token's log-probability and its top alternatives', highest first."""
    positions = []
    for token_id, scores in zip(output.token_ids, output.logprobs or (), strict=False):
        assert scores is not None, "generated tokens have log-probabilities"
        named = {
            token: TokenLogprob(score.decoded_token or "", score.logprob, token)
            for token, score in scores.items()
        }
        # vLLM adds the sampled token if it is not among the top tokens.
        top = sorted(named.values(), key=lambda token: token.logprob, reverse=True)
        positions.append(PositionLogprobs(named[token_id], tuple(top[:alternatives])))
    return tuple(positions)
