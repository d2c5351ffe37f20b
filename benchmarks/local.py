"""The engine and the roles in this process, as the server wires them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from app.config.settings import Settings
from app.constraints.checker import Checker
from app.engine.arguments import EngineConfig
from app.engine.base import Engine
from app.roles.actor import Actor
from app.roles.judge import Judge
from app.roles.refiner import Refiner
from app.search.run import Roles
from benchmarks.forcing import ForcedVllmEngine

if TYPE_CHECKING:
    from vllm.v1.engine.async_llm import AsyncLLM


@dataclass(frozen=True, slots=True)
class Local:
    """A started engine, the vLLM engine inside it, and the checker."""

    settings: Settings
    engine: ForcedVllmEngine
    checker: Checker

    @property
    def llm(self) -> "AsyncLLM":
        """vLLM's own engine, for sending work to it directly."""
        return self.engine._process.llm

    async def forget(self) -> None:
        """Empty the prefix cache, so that all runs start in the same state."""
        if not await self.llm.reset_prefix_cache():
            raise RuntimeError("the prefix cache is in use and cannot be reset")

    def roles(self, engine: Engine, critique_tokens: int) -> Roles:
        """Actor, judge and refiner over an engine (ours, or one wrapped around it)."""
        settings = self.settings
        judge = Judge(
            engine,
            self.checker,
            temperature=settings.vote_temperature,
            critique_tokens=critique_tokens,
        )
        refiner = Refiner(engine)
        return Roles(Actor(engine), judge, refiner, settings.refine_temperature)


@asynccontextmanager
async def started(settings: Settings, model: str) -> AsyncIterator[Local]:
    """A running engine.

    Raises:
        ConfigurationError: It cannot start.
    """
    engine = ForcedVllmEngine(_engine_config(settings, model))
    checker = Checker(settings.check_processes, settings.check_seconds)
    await checker.start()
    try:
        await engine.start()
        yield Local(settings, engine, checker)
    finally:
        await engine.close()
        await checker.close()


def _engine_config(settings: Settings, model: str) -> EngineConfig:
    names = {field.name for field in fields(EngineConfig)} - {"model"}
    return EngineConfig(model=model, **settings.model_dump(include=names))
