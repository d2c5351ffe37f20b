"""One real engine for all modules that test it, started on first use."""

from collections.abc import AsyncIterator

import pytest_asyncio

from app.engine.arguments import EngineConfig, can_sleep
from app.engine.vllm import VllmEngine
from app.model_files.resolve import resolve_model
from benchmarks.forcing import ForcedVllmEngine


@pytest_asyncio.fixture(loop_scope="package", scope="package")
async def engine() -> AsyncIterator[VllmEngine]:
    """The embedded model in float32: numbers that do not depend on load.

    Tests restore its state: awake, with its initial weights. Adapter names are unique per module.
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
