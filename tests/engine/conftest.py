"""One real engine for the modules that test it; it starts when the first of them asks for it."""

from collections.abc import AsyncIterator

import pytest_asyncio

from app.engine.arguments import EngineConfig, can_sleep
from app.engine.vllm import VllmEngine
from app.model_files.resolve import resolve_model
from benchmarks.forcing import ForcedVllmEngine


@pytest_asyncio.fixture(loop_scope="package", scope="package")
async def engine() -> AsyncIterator[VllmEngine]:
    """The embedded model in float32: numbers that do not depend on load.

    A test leaves it as it was: awake, with the weights it was started with. Names of adapters are
    each module's own.
    """
    engine = ForcedVllmEngine(
        EngineConfig(
            model=resolve_model(None),
            dtype="float32",
            context_tokens=1024,
            kv_cache_gib=1.0,
            gpu_memory_utilization=0.5,
            block_size=32,
            max_num_seqs=32,
            compile=False,
            sleeps=can_sleep(),
        )
    )
    await engine.start()
    yield engine
    await engine.close()
