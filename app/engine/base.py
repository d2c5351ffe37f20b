"""The engine as its callers see it: complete a conversation, or score what comes next."""

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

    id: the token's number in the vocabulary; None where the engine does not tell.
    """

    token: str
    logprob: float
    id: int | None = None


@dataclass(frozen=True, slots=True)
class PositionLogprobs:
    """The generated token at one position, and the likeliest alternatives there."""

    chosen: TokenLogprob
    top: tuple[TokenLogprob, ...]


WHOLE_CALL = 1_000_000
"""As `chunk_tokens`: more than any call generates, so progress is reported once, at the end."""


@dataclass(frozen=True, slots=True)
class Call:
    """One model call.

    messages: the conversation; a last assistant message is a prefill, which the model continues.
    model: the name the weights are served under, such as `actor@3`.
    priority: calls with a lower one are scheduled first; 0 for interactive requests.
    logprobs: how many alternatives to report per token; None for no log-probabilities.
    chunk_tokens: report progress about every so many tokens (1: every token).
    shown: the text is displayed while it is generated. A remote server then streams it; a call
        whose first tokens were displayed cannot be retried on another server.
    logprob_token_ids: report these tokens' log-probabilities instead of the likeliest ones'.
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
        """How many log-probabilities each position reports: the wanted tokens and the chosen."""
        return len(self.logprob_token_ids) + 1 if self.logprob_token_ids else self.logprobs or 0


@dataclass(frozen=True, slots=True)
class Delta:
    """Progress of one call since the last one.

    prompt_tokens is set once, in the first delta, which comes before any text; by a remote server
    that streams, in the last.
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
    """Ignores the progress: for callers that only want the whole result."""


def count_into(usage: Usage) -> OnDelta:
    """A callback that adds the tokens of every delta to `usage`."""

    def count(delta: Delta) -> None:
        usage.prompt_tokens += delta.prompt_tokens
        usage.completion_tokens += delta.completion_tokens

    return count


@dataclass(frozen=True, slots=True)
class CallContext:
    """What all calls to one model on behalf of one request have in common.

    model, priority, chunk_tokens, shown: see `Call`.
    on_delta: called with the progress of every call; cancelled calls report theirs too.
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

    Cancelling a call aborts it in the engine at once; what it had generated until then is
    still reported through `on_delta` before the cancellation goes on, so that nobody loses
    count. Errors: `PromptTooLong`, `EngineError`, `EngineUnavailable`.
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
        """Length in tokens of the rendered conversation. Raises `EngineUnavailable`."""
        ...

    async def tokenize(
        self, content: str | Sequence[Message], *, special_tokens: bool = False
    ) -> list[int]:
        """Token ids of a bare text, or of the rendered conversation.

        `special_tokens`: also those that the tokenizer puts around a bare text. Raises
        `EngineUnavailable`.
        """
        ...

    @property
    def context_tokens(self) -> int:
        """Prompt and completion together may be this long."""
        ...

    @property
    def ready(self) -> bool:
        """Whether calls can be made now."""
        ...

    @property
    def unfinished(self) -> int:
        """Calls running or queued in the engine."""
        ...

    @property
    def restarts(self) -> int:
        """How often the engine died and was started again."""
        ...


class AdapterEngine(Engine, Protocol):
    """An engine that serves adapters (LoRA) on top of its base model, each under a name.

    Names are those of `app.domain.checkpoint.served_name`.
    """

    async def load_adapter(self, name: str, path: Path) -> None:
        """Serve calls whose `model` is `name` (such as `actor@12`) with the adapter in `path`.

        Once loaded, a name stands for its folder for ever. Raises `CheckpointRefused` where the
        engine cannot load it, and `EngineUnavailable`.
        """
        ...

    async def unload_adapter(self, name: str) -> None:
        """Free the memory of an adapter; a later call under its name loads it again."""
        ...

    async def load_weights(self, name: str, folder: Path) -> None:
        """Replace the weights of the model that serves the role of `name` by those in `folder`.

        From then on calls under `name` use them; the names that the old weights served under,
        and those of adapters made for them, are refused. Calls under way are waited for, so
        nobody should be at it. An engine that dies comes back with the weights it had last.

        Raises `CheckpointRefused` where the engine cannot load them, and `EngineUnavailable`;
        the old weights serve on then.
        """
        ...

    @property
    def separate_roles(self) -> bool:
        """Whether the weights of one role can be replaced without the other's."""
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
    """An engine that can leave the GPU's memory to somebody else for a while."""

    @property
    def asleep(self) -> bool:
        """Whether it sleeps: every call is refused, and it is not `ready`."""
        ...

    async def sleep(self) -> None:
        """Give the GPU's memory back. Calls under way are waited for, so nobody should be at it.

        Raises `EngineUnavailable` where that fails; the engine is started again then.
        """
        ...

    async def wake_up(self) -> None:
        """Serve again what was served before; nothing where it does not sleep.

        Raises `EngineUnavailable` as `sleep` does.
        """
        ...


def is_asleep(engine: Engine) -> bool:
    """Whether an engine sleeps; one that cannot never does."""
    return isinstance(engine, SleepyEngine) and engine.asleep


class EngineWrapper:
    """Passes every call on as it is; a subclass replaces what it changes."""

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
    """Calls that this block makes, in tasks it starts too, belong to this conversation."""
    token = _key.set(opening(messages))
    try:
        yield
    finally:
        _key.reset(token)


def affinity_of(messages: Sequence[Message]) -> str:
    """What calls that belong together have in common: the block's conversation, else their own."""
    return _key.get() or opening(messages)


def opening(messages: Sequence[Message]) -> str:
    """A conversation up to what the user said first, which its later turns repeat."""
    said: list[str] = []
    for message in messages:
        said.append(f"{message.role}:{message.content}")
        if message.role == "user":
            break
    return "\n".join(said)
