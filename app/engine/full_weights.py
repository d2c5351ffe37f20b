"""Replaces the full weights of a running vLLM engine."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from app.engine.adapters import Adapters
from app.engine.process import EngineProcess, engine_died, wait_or_engine_dead
from app.errors import CheckpointRefused, EngineUnavailable

if TYPE_CHECKING:
    from vllm.v1.engine.async_llm import AsyncLLM

log = logging.getLogger(__name__)

CACHE_ATTEMPTS = 50
CACHE_PAUSE_SECONDS = 0.1
IDLE_PAUSE_SECONDS = 0.02


class FullWeights:
    """The weights of one engine; a restarted engine loads the same ones."""

    def __init__(self, process: EngineProcess, adapters: Adapters) -> None:
        self._process = process
        self._adapters = adapters

    async def load(self, name: str, folder: Path) -> None:
        """Replace the weights by those in `folder`; on failure the old ones are restored.

        See `AdapterEngine.load_weights`.
        """
        llm = self._process.llm
        with self._adapters.replacing_base():
            await _until_idle(llm)
            async with _paused(llm):
                await self._exchange(llm, name, folder)

    async def _exchange(self, llm: "AsyncLLM", name: str, folder: Path) -> None:
        try:
            await _load(llm, str(folder))
        except EngineUnavailable:
            raise
        except asyncio.CancelledError:
            self._process.request_restart()  # the weights may be replaced in part
            raise
        except Exception as error:  # errors of the engine's process arrive as bare Exception
            await self._restore(llm)
            raise CheckpointRefused(f"the engine cannot load {name}: {error}") from error
        if not self._process.ready or self._process.llm is not llm:
            raise engine_died()  # the next one may have been started with the old weights
        self._process.weights = str(folder)
        self._adapters.replace_base(name)

    async def _restore(self, llm: "AsyncLLM") -> None:
        """Load the old weights again: a failed load may have replaced some of them."""
        try:
            await _load(llm, self._process.weights)
        except EngineUnavailable:
            raise
        except Exception as error:  # as above
            log.error("the engine cannot restore its weights and is restarted: %s", error)
            self._process.request_restart()


async def _until_idle(llm: "AsyncLLM") -> None:
    """Wait until no call is left: a pause would keep unscheduled ones until after the swap."""
    while llm.get_num_unfinished_requests():
        if llm.errored:
            raise engine_died()
        await asyncio.sleep(IDLE_PAUSE_SECONDS)


@asynccontextmanager
async def _paused(llm: "AsyncLLM") -> AsyncIterator[None]:
    """While the block runs, the engine schedules nothing."""
    try:
        await wait_or_engine_dead(llm, llm.pause_generation(mode="wait", clear_cache=False))
        yield
    finally:
        with suppress(EngineUnavailable):  # a restarted engine is not paused
            await wait_or_engine_dead(llm, llm.resume_generation())


async def _load(llm: "AsyncLLM", source: str) -> None:
    """Load weights from a folder or hub name, and clear the prefix cache."""
    # The engine drops its adapters here, and loads them from their folders again when called.
    reading = llm.collective_rpc("reload_weights", kwargs={"weights_path": source})
    await wait_or_engine_dead(llm, reading)
    for _ in range(CACHE_ATTEMPTS):
        if await wait_or_engine_dead(llm, llm.reset_prefix_cache()):
            return
        await asyncio.sleep(CACHE_PAUSE_SECONDS)
    raise RuntimeError("its prefix cache cannot be cleared")
