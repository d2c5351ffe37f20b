"""Has a running vLLM engine leave the GPU's memory to somebody else, and take it again."""

import logging
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from app.engine.alive import engine_died, while_alive
from app.engine.process import EngineProcess
from app.errors import EngineUnavailable

if TYPE_CHECKING:
    from vllm.v1.engine.async_llm import AsyncLLM

log = logging.getLogger(__name__)

LEVEL = 1
"""Weights and adapters move to the machine's memory and come back; the KV cache is dropped."""


class Sleep:
    """The sleep of one engine. While it lasts, `EngineProcess` takes no calls."""

    def __init__(self, process: EngineProcess) -> None:
        self._process = process
        self._llm: AsyncLLM | None = None

    async def begin(self) -> None:
        """See `SleepyEngine.sleep`. vLLM forgets the prompts in its prefix cache meanwhile."""
        self._llm = self._process.llm
        self._process.asleep = True
        await self._do(self._llm, self._llm.sleep(LEVEL, mode="wait"), "fall asleep")

    async def end(self) -> None:
        """See `SleepyEngine.wake_up`."""
        if self._llm is None or not self._process.asleep:
            return  # it died meanwhile, and another one was started, which is awake
        await self._do(self._llm, self._llm.wake_up(), "wake up")
        self._llm, self._process.asleep = None, False

    async def _do(self, llm: "AsyncLLM", work: Coroutine[Any, Any, Any], words: str) -> None:
        try:
            await while_alive(llm, work)
        except EngineUnavailable:
            raise
        except Exception as error:  # what fails in the engine's process arrives as bare Exception
            log.error("the engine cannot %s, and is restarted: %s", words, error)
            self._process.spoil()
            raise engine_died() from error
