"""One engine per role, so that each role can have full weights of its own."""

import asyncio
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from app.domain.checkpoint import Role, parse_served_name
from app.domain.prompt import Message
from app.engine.arguments import EngineConfig
from app.engine.base import (
    AdapterEngine,
    Call,
    Completion,
    OnDelta,
    SleepyEngine,
    ignore_delta,
    is_asleep,
)
from app.engine.metrics import EngineMetrics, MeasuredEngine
from app.errors import EngineError


class OwnEngine(AdapterEngine, Protocol):
    """An engine whose lifetime this process manages."""

    async def start(self) -> None:
        """Load the model.

        Raises:
            ConfigurationError: the engine rejects the model or the arguments.
        """
        ...

    async def close(self) -> None:
        """Stop the engine and its processes."""
        ...


class EnginesByRole:
    """Routes calls by role; all engines start with the same model."""

    separate_roles = True

    def __init__(self, engines: Mapping[Role, OwnEngine]) -> None:
        self._engines = engines

    async def start(self) -> None:
        """Start the engines one after another; see `OwnEngine.start`."""
        for engine in self._engines.values():
            await engine.start()

    async def close(self) -> None:
        """Stop all engines; raises the first error after all have been tried."""
        await _all_of(engine.close() for engine in self._engines.values())

    @property
    def ready(self) -> bool:
        """Whether every engine accepts calls."""
        return all(engine.ready for engine in self._engines.values())

    @property
    def unfinished(self) -> int:
        """Calls running or queued, of all engines."""
        return sum(engine.unfinished for engine in self._engines.values())

    @property
    def restarts(self) -> int:
        """Restarts of all engines."""
        return sum(engine.restarts for engine in self._engines.values())

    @property
    def context_tokens(self) -> int:
        """See `Engine.context_tokens`."""
        return self._any.context_tokens

    @property
    def metrics(self) -> Mapping[str, EngineMetrics]:
        """Metrics by role, of engines that have any; see `MeasuredEngine`."""
        return {
            str(role): metrics
            for role, engine in self._engines.items()
            if isinstance(engine, MeasuredEngine)
            for metrics in engine.metrics.values()
        }

    @property
    def asleep(self) -> bool:
        """Whether all engines sleep."""
        return all(is_asleep(engine) for engine in self._engines.values())

    async def sleep(self) -> None:
        """See `SleepyEngine.sleep`."""
        await _all_of(engine.sleep() for engine in self._sleepy)

    async def wake_up(self) -> None:
        """See `SleepyEngine.wake_up`."""
        await _all_of(engine.wake_up() for engine in self._sleepy)

    @property
    def max_adapter_rank(self) -> int:
        """See `AdapterEngine.max_adapter_rank`."""
        return self._any.max_adapter_rank

    @property
    def adapter_targets(self) -> frozenset[str] | None:
        """See `AdapterEngine.adapter_targets`."""
        return self._any.adapter_targets

    async def complete(self, call: Call, on_delta: OnDelta = ignore_delta) -> Completion:
        """See `Engine.complete`."""
        return await self._of(call.model).complete(call, on_delta)

    async def score(
        self, call: Call, options: Sequence[str], on_delta: OnDelta = ignore_delta
    ) -> Mapping[str, float]:
        """See `Engine.score`."""
        return await self._of(call.model).score(call, options, on_delta)

    async def count_tokens(self, messages: Sequence[Message]) -> int:
        """See `Engine.count_tokens`; the engines' tokenizers are the same."""
        return await self._any.count_tokens(messages)

    async def tokenize(
        self, content: str | Sequence[Message], *, special_tokens: bool = False
    ) -> list[int]:
        """See `Engine.tokenize`."""
        return await self._any.tokenize(content, special_tokens=special_tokens)

    async def load_adapter(self, name: str, path: Path) -> None:
        """See `AdapterEngine.load_adapter`."""
        await self._of(name).load_adapter(name, path)

    async def unload_adapter(self, name: str) -> None:
        """See `AdapterEngine.unload_adapter`."""
        await self._of(name).unload_adapter(name)

    async def load_weights(self, name: str, folder: Path) -> None:
        """See `AdapterEngine.load_weights`; other roles are unaffected."""
        await self._of(name).load_weights(name, folder)

    @property
    def _any(self) -> OwnEngine:
        return next(iter(self._engines.values()))

    @property
    def _sleepy(self) -> list[SleepyEngine]:
        return [one for one in self._engines.values() if isinstance(one, SleepyEngine)]

    def _of(self, name: str) -> OwnEngine:
        served = parse_served_name(name)
        if served is None:
            raise EngineError(f"the engine does not serve {name}")
        return self._engines[served[0]]


def configs_by_role(config: EngineConfig, cores: Sequence[int]) -> dict[Role, EngineConfig]:
    """The engine configuration of each role: its own cores and an equal part of the GPU memory.

    Two engines bound to the same cores starve each other, so only a single core is shared.
    """
    return {
        role: replace(
            config,
            cores=tuple(cores[number :: len(Role)] or cores),
            gpu_memory_utilization=config.gpu_memory_utilization / len(Role),
        )
        for number, role in enumerate(Role)
    }


async def _all_of(works: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Run all concurrently; raises the first error after all have ended."""
    for ended in await asyncio.gather(*works, return_exceptions=True):
        if isinstance(ended, BaseException):
            raise ended
