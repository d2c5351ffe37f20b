"""Waiting for what a vLLM engine does, as long as it lives."""

import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from app.errors import EngineUnavailable

if TYPE_CHECKING:
    from vllm.v1.engine.async_llm import AsyncLLM

LOOK_SECONDS = 0.2

Result = TypeVar("Result")


async def while_alive(llm: "AsyncLLM", work: Coroutine[Any, Any, Result]) -> Result:
    """The result of what the engine was asked to do beside its calls, such as loading an adapter.

    vLLM itself waits for ever for the answer of an engine that has died. Raises
    `EngineUnavailable` then, and what `work` raises.
    """
    from vllm.v1.engine.exceptions import EngineDeadError

    task = asyncio.create_task(work)
    try:
        while not (await asyncio.wait({task}, timeout=LOOK_SECONDS))[0]:
            if llm.errored:
                raise engine_died()
        return task.result()
    except EngineDeadError as error:
        raise engine_died() from error
    finally:
        task.cancel()


def engine_died() -> EngineUnavailable:
    """The error for whoever needs an engine that has died."""
    return EngineUnavailable("the engine died; it is being restarted", retry_after=30)


def engine_asleep() -> EngineUnavailable:
    """The error for whoever needs an engine that sleeps."""
    return EngineUnavailable(
        "the engine sleeps while a training has the GPU; try again later", retry_after=30
    )
