"""The real engine asleep. On a CPU vLLM frees nothing, and does all the rest."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
import torch

from app.domain.prompt import Message
from app.domain.search import Sampling
from app.engine.arguments import EngineConfig, can_sleep
from app.engine.base import Call, Completion
from app.engine.vllm import VllmEngine
from app.errors import EngineUnavailable
from app.model_files.resolve import resolve_model
from tests.helpers.adapters import random_adapter

pytestmark = [pytest.mark.engine, pytest.mark.asyncio(loop_scope="module")]

NAMES = ("actor@0", "actor@1")
LONG = "Tell me about rivers. " * 20


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def engine(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[VllmEngine]:
    engine = VllmEngine(
        EngineConfig(
            model=resolve_model(None),
            dtype="float32",
            context_tokens=512,
            kv_cache_gib=0.5,
            gpu_memory_utilization=0.5,
            block_size=32,
            max_num_seqs=8,
            compile=False,
            sleeps=can_sleep(),
        )
    )
    await engine.start()
    folder: Path = tmp_path_factory.mktemp("adapters")
    await engine.load_adapter("actor@1", random_adapter(folder / "actor@1", seed=1))
    yield engine
    await engine.close()


async def say(engine: VllmEngine, model: str) -> Completion:
    sampling = Sampling(temperature=0.0, top_p=1.0, max_tokens=16)
    return await engine.complete(Call((Message("user", LONG),), model, sampling))


async def test_asleep_it_refuses_and_awake_it_says_the_same_without_a_cache(
    engine: VllmEngine,
) -> None:
    before = [(await say(engine, name)).text for name in NAMES]
    assert before[0] != before[1]
    assert (await say(engine, "actor@0")).cached_tokens > 0
    await engine.sleep()
    assert (engine.asleep, engine.ready) == (True, False)
    with pytest.raises(EngineUnavailable, match="sleeps while a training"):
        await say(engine, "actor@0")
    with pytest.raises(EngineUnavailable, match="sleeps while a training"):
        await engine.unload_adapter("actor@1")
    await engine.wake_up()
    assert (engine.asleep, engine.ready, engine.restarts) == (False, True, 0)
    after = [await say(engine, name) for name in NAMES]
    assert [completion.text for completion in after] == before
    assert [completion.cached_tokens for completion in after] == [0, 0]


async def test_waking_an_engine_that_is_awake_does_nothing(engine: VllmEngine) -> None:
    await engine.wake_up()
    assert engine.ready


@pytest.mark.skipif(not torch.cuda.is_available(), reason="only a GPU's memory is given back")
async def test_asleep_it_leaves_most_of_its_gpu_memory_to_others(engine: VllmEngine) -> None:
    free, total = torch.cuda.mem_get_info()
    await engine.sleep()
    try:
        assert torch.cuda.mem_get_info()[0] - free > 0.3 * total
    finally:
        await engine.wake_up()
    assert (await say(engine, "actor@1")).text
