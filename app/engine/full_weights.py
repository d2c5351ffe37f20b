"""Replaces the weights of a running vLLM engine."""

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

CACHE_TRIES = 50
CACHE_PAUSE_SECONDS = 0.1
IDLE_PAUSE_SECONDS = 0.02


class Weights:
    """The weights of one engine, which a restarted engine comes back with."""

    def __init__(self, process: EngineProcess, adapters: Adapters) -> None:
        self._process = process
        self._adapters = adapters

    async def load(self, name: str, folder: Path) -> None:
        """Replace the weights by those in `folder`, or leave everything as it was.

        See `AdapterEngine.load_weights`.
        """
        llm = self._process.llm
        with self._adapters.closed():
            await _until_idle(llm)
            async with _paused(llm):
                await self._exchange(llm, name, folder)

    async def _exchange(self, llm: "AsyncLLM", name: str, folder: Path) -> None:
        try:
            await _read(llm, str(folder))
        except EngineUnavailable:
            raise
        except asyncio.CancelledError:
            self._process.spoil()  # nobody knows how far it got
            raise
        except Exception as error:  # what fails in the engine's process arrives as bare Exception
            await self._go_back(llm)
            raise CheckpointRefused(f"the engine cannot load {name}: {error}") from error
        if not self._process.ready or self._process.llm is not llm:
            raise engine_died()  # the next one may have been started with the old weights
        self._process.weights = str(folder)
        self._adapters.replace_base(name)

    async def _go_back(self, llm: "AsyncLLM") -> None:
        """Read the old weights again: a reading that failed may have replaced some of them."""
        try:
            await _read(llm, self._process.weights)
        except EngineUnavailable:
            raise
        except Exception as error:  # as above
            log.error("the engine cannot go back to its weights, and is restarted: %s", error)
            self._process.spoil()


async def _until_idle(llm: "AsyncLLM") -> None:
    """Wait until no call is left: a pause would keep those that are not scheduled yet for after."""
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
        with suppress(EngineUnavailable):  # it comes back running
            await wait_or_engine_dead(llm, llm.resume_generation())


async def _read(llm: "AsyncLLM", source: str) -> None:
    """Read weights from a folder or hub name, and forget what was computed with the old ones."""
    # Adapters are dropped by the engine here, and read again from their folders when called.
    reading = llm.collective_rpc("reload_weights", kwargs={"weights_path": source})
    await wait_or_engine_dead(llm, reading)
    for _ in range(CACHE_TRIES):
        if await wait_or_engine_dead(llm, llm.reset_prefix_cache()):
            return
        await asyncio.sleep(CACHE_PAUSE_SECONDS)
    raise RuntimeError("its cache of prompts cannot be cleared")
