"""Sleep mode of the real engine. On a CPU vLLM frees no memory, but does the rest."""

import pytest
import pytest_asyncio
import torch

from app.domain.prompt import Message
from app.domain.search import Sampling
from app.engine.base import Call, Completion
from app.engine.vllm import VllmEngine
from app.errors import EngineUnavailable
from tests.helpers.adapters import random_adapter

pytestmark = [pytest.mark.engine, pytest.mark.asyncio(loop_scope="package")]

NAMES = ("actor@0", "actor@21")
LONG = "Tell me about rivers. " * 20


@pytest_asyncio.fixture(loop_scope="package", scope="module", autouse=True)
async def adapter(engine: VllmEngine, tmp_path_factory: pytest.TempPathFactory) -> None:
    """An adapter for the second name."""
    folder = tmp_path_factory.mktemp("adapters") / NAMES[1]
    await engine.load_adapter(NAMES[1], random_adapter(folder, seed=1))


async def say(engine: VllmEngine, model: str) -> Completion:
    sampling = Sampling(temperature=0.0, top_p=1.0, max_tokens=16)
    return await engine.complete(Call((Message("user", LONG),), model, sampling))


async def test_asleep_it_rejects_calls_and_awake_it_repeats_its_output_without_a_cache(
    engine: VllmEngine,
) -> None:
    before = [(await say(engine, name)).text for name in NAMES]
    assert before[0] != before[1]
    assert (await say(engine, "actor@0")).cached_tokens > 0
    restarts = engine.restarts
    await engine.sleep()
    assert (engine.asleep, engine.ready) == (True, False)
    with pytest.raises(EngineUnavailable, match="sleeps while a training"):
        await say(engine, "actor@0")
    with pytest.raises(EngineUnavailable, match="sleeps while a training"):
        await engine.unload_adapter("actor@21")
    await engine.wake_up()
    assert (engine.asleep, engine.ready, engine.restarts) == (False, True, restarts)
    after = [await say(engine, name) for name in NAMES]
    assert [completion.text for completion in after] == before
    assert [completion.cached_tokens for completion in after] == [0, 0]


async def test_waking_an_engine_that_is_awake_does_nothing(engine: VllmEngine) -> None:
    await engine.wake_up()
    assert engine.ready


@pytest.mark.skipif(not torch.cuda.is_available(), reason="only a GPU's memory is given back")
async def test_sleep_releases_most_of_the_gpu_memory(engine: VllmEngine) -> None:
    free, total = torch.cuda.mem_get_info()
    await engine.sleep()
    try:
        assert torch.cuda.mem_get_info()[0] - free > 0.3 * total
    finally:
        await engine.wake_up()
    assert (await say(engine, "actor@21")).text
