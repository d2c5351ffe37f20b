"""The `Engine` protocol: completions and next-token log-probabilities."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

from app.domain.prompt import Message
from app.domain.search import Sampling, Usage

FinishReason = Literal["stop", "length"]


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """Log-probability (natural logarithm) of one token at one position.

    id: the token's id in the vocabulary; None if the engine does not report it.
    """

    token: str
    logprob: float
    id: int | None = None


@dataclass(frozen=True, slots=True)
class PositionLogprobs:
    """The generated token at one position and the most likely alternatives."""

    chosen: TokenLogprob
    top: tuple[TokenLogprob, ...]


WHOLE_CALL = 1_000_000
"""Value of `chunk_tokens` with which progress is reported once, at the end of the call."""


@dataclass(frozen=True, slots=True)
class Call:
    """One model call.

    messages: the conversation; a last assistant message is a prefill, which the model continues.
    model: the name the weights are served under, such as `actor@3`.
    priority: calls with a lower value are scheduled first; 0 for interactive requests.
    logprobs: how many alternatives to report per token; None for no log-probabilities.
    chunk_tokens: report progress about every `chunk_tokens` tokens (1: every token).
    shown: the text is displayed while it is generated. A remote server then streams it; a call
        whose first tokens were displayed cannot be retried on another server.
    logprob_token_ids: report the log-probabilities of these tokens instead of the top tokens.
    """

    messages: tuple[Message, ...]
    model: str
    sampling: Sampling
    priority: int = 0
    logprobs: int | None = None
    chunk_tokens: int = WHOLE_CALL
    shown: bool = False
    logprob_token_ids: tuple[int, ...] = ()

    @property
    def alternatives(self) -> int:
        """Log-probabilities per position: the requested tokens and the sampled one."""
        return len(self.logprob_token_ids) + 1 if self.logprob_token_ids else self.logprobs or 0


@dataclass(frozen=True, slots=True)
class Delta:
    """Progress of one call since the previous delta.

    prompt_tokens is set once: in the first delta, before any text; when a remote server streams,
    in the last.
    """

    text: str = ""
    completion_tokens: int = 0
    prompt_tokens: int = 0
    logprobs: tuple[PositionLogprobs, ...] = ()


@dataclass(frozen=True, slots=True)
class Completion:
    """The whole result of one call."""

    text: str
    finish_reason: FinishReason
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0
    logprobs: tuple[PositionLogprobs, ...] = ()


OnDelta = Callable[[Delta], None]


def ignore_delta(_: Delta) -> None:
    """Discard the progress."""


def count_into(usage: Usage) -> OnDelta:
    """A callback that adds the tokens of every delta to `usage`."""

    def count(delta: Delta) -> None:
        usage.prompt_tokens += delta.prompt_tokens
        usage.completion_tokens += delta.completion_tokens

    return count


@dataclass(frozen=True, slots=True)
class CallContext:
    """Parameters shared by all calls to one model for one request.

    model, priority, chunk_tokens, shown: see `Call`.
    on_delta: called with the progress of every call, cancelled ones included.
    """

    model: str
    priority: int = 0
    chunk_tokens: int = WHOLE_CALL
    shown: bool = False
    on_delta: OnDelta = ignore_delta

    def call(self, messages: tuple[Message, ...], sampling: Sampling) -> Call:
        """A call to the model in this context."""
        return Call(
            messages,
            self.model,
            sampling,
            self.priority,
            chunk_tokens=self.chunk_tokens,
            shown=self.shown,
        )


class Engine(Protocol):
    """Runs model calls.

    Cancelling a call aborts it in the engine at once; the tokens generated until then are
    reported through `on_delta` before the cancellation propagates, so usage counts are complete.

    Raises:
        PromptTooLong, EngineError, EngineUnavailable: from every call.
    """

    async def complete(self, call: Call, on_delta: OnDelta = ignore_delta) -> Completion:
        """Generate one completion."""
        ...

    async def score(
        self, call: Call, options: Sequence[str], on_delta: OnDelta = ignore_delta
    ) -> Mapping[str, float]:
        """Log-probabilities of each option as the next token, over the full vocabulary.

        An option that is not a single token is left out. `call.sampling` is not used.
        """
        ...

    async def count_tokens(self, messages: Sequence[Message]) -> int:
        """Length in tokens of the rendered conversation."""
        ...

    async def tokenize(
        self, content: str | Sequence[Message], *, special_tokens: bool = False
    ) -> list[int]:
        """Token ids of a plain text, or of the rendered conversation.

        `special_tokens`: also add the tokenizer's special tokens to a plain text.
        """
        ...

    @property
    def context_tokens(self) -> int:
        """Context length: maximum tokens of prompt and completion together."""
        ...

    @property
    def ready(self) -> bool:
        """Whether the engine accepts calls."""
        ...

    @property
    def unfinished(self) -> int:
        """Calls running or queued in the engine."""
        ...

    @property
    def restarts(self) -> int:
        """Number of engine restarts after a crash."""
        ...


class AdapterEngine(Engine, Protocol):
    """An engine that serves adapters (LoRA) on top of its base model, each under a name.

    Names are those of `app.domain.checkpoint.served_name`.
    """

    async def load_adapter(self, name: str, path: Path) -> None:
        """Serve calls whose `model` is `name` (such as `actor@12`) with the adapter in `path`.

        Once loaded, a name is bound to its folder permanently.

        Raises:
            CheckpointRefused: the engine cannot load it.
            EngineUnavailable: the engine is not running.
        """
        ...

    async def unload_adapter(self, name: str) -> None:
        """Free the memory of an adapter; a later call under its name loads it again."""
        ...

    async def load_weights(self, name: str, folder: Path) -> None:
        """Replace the weights of the model that serves the role of `name` by those in `folder`.

        From then on calls under `name` use them; names of the old weights, and of adapters
        trained on them, are rejected. Waits for calls in progress, so drain first. After a crash
        the engine restarts with the weights loaded last.

        Raises:
            CheckpointRefused: the engine cannot load them; the old weights stay in use.
            EngineUnavailable: the engine is not running; the old weights stay in use.
        """
        ...

    @property
    def separate_roles(self) -> bool:
        """Whether each role has weights of its own."""
        ...

    @property
    def max_adapter_rank(self) -> int:
        """Highest rank an adapter may have."""
        ...

    @property
    def adapter_targets(self) -> frozenset[str] | None:
        """The linear layers an adapter may change, such as `down_proj`; None for all."""
        ...


@runtime_checkable
class SleepyEngine(Engine, Protocol):
    """An engine that can release its GPU memory temporarily (vLLM's sleep mode)."""

    @property
    def asleep(self) -> bool:
        """Whether it sleeps: it rejects every call and is not `ready`."""
        ...

    async def sleep(self) -> None:
        """Release the GPU memory. Waits for calls in progress, so drain first.

        Raises:
            EngineUnavailable: it failed; the engine is restarted.
        """
        ...

    async def wake_up(self) -> None:
        """Restore the weights and serve again; no-op while awake.

        Raises:
            EngineUnavailable: it failed; the engine is restarted.
        """
        ...


def is_asleep(engine: Engine) -> bool:
    """Whether an engine sleeps; False if it has no sleep mode."""
    return isinstance(engine, SleepyEngine) and engine.asleep


class EngineWrapper:
    """Delegates every call to the wrapped engine; subclasses override."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def complete(self, call: Call, on_delta: OnDelta = ignore_delta) -> Completion:
        """See `Engine.complete`."""
        return await self._engine.complete(call, on_delta)

    async def score(
        self, call: Call, options: Sequence[str], on_delta: OnDelta = ignore_delta
    ) -> Mapping[str, float]:
        """See `Engine.score`."""
        return await self._engine.score(call, options, on_delta)

    async def count_tokens(self, messages: Sequence[Message]) -> int:
        """See `Engine.count_tokens`."""
        return await self._engine.count_tokens(messages)

    async def tokenize(
        self, content: str | Sequence[Message], *, special_tokens: bool = False
    ) -> list[int]:
        """See `Engine.tokenize`."""
        return await self._engine.tokenize(content, special_tokens=special_tokens)

    @property
    def context_tokens(self) -> int:
        """See `Engine.context_tokens`."""
        return self._engine.context_tokens

    @property
    def ready(self) -> bool:
        """See `Engine.ready`."""
        return self._engine.ready

    @property
    def unfinished(self) -> int:
        """See `Engine.unfinished`."""
        return self._engine.unfinished

    @property
    def restarts(self) -> int:
        """See `Engine.restarts`."""
        return self._engine.restarts


_key: ContextVar[str | None] = ContextVar("affinity", default=None)


@contextmanager
def prefix_affinity(messages: Sequence[Message]) -> Iterator[None]:
    """Give all calls in this block, and in tasks it starts, the affinity key of `messages`."""
    token = _key.set(opening(messages))
    try:
        yield
    finally:
        _key.reset(token)


def affinity_of(messages: Sequence[Message]) -> str:
    """The affinity key: that of the enclosing `prefix_affinity` block, else of `messages`."""
    return _key.get() or opening(messages)


def opening(messages: Sequence[Message]) -> str:
    """The conversation up to its first user message: the prefix all its later turns share."""
    said: list[str] = []
    for message in messages:
        said.append(f"{message.role}:{message.content}")
        if message.role == "user":
            break
    return "\n".join(said)
