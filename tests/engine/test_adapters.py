"""Adapters on the real engine: each call uses its own, independent of the batch."""

import asyncio
from pathlib import Path

import pytest
import pytest_asyncio

from app.domain.prompt import Message
from app.domain.search import Sampling
from app.engine.base import Call
from app.engine.vllm import VllmEngine
from app.errors import CheckpointRefused, EngineError
from tests.helpers.adapters import random_adapter

pytestmark = [pytest.mark.engine, pytest.mark.asyncio(loop_scope="package")]

NAMES = ("actor@1", "actor@2", "refiner@1", "refiner@2")


@pytest_asyncio.fixture(loop_scope="package", scope="module", autouse=True)
async def adapters(engine: VllmEngine, tmp_path_factory: pytest.TempPathFactory) -> None:
    """An adapter for each name."""
    folder = tmp_path_factory.mktemp("adapters")
    for seed, name in enumerate(NAMES):
        await engine.load_adapter(name, random_adapter(folder / name, seed=seed))


async def say(engine: VllmEngine, model: str, topic: str = "rivers") -> str:
    messages = (Message("user", f"Tell me about {topic}."),)
    sampling = Sampling(temperature=0.0, top_p=1.0, max_tokens=16)
    return (await engine.complete(Call(messages, model, sampling))).text


async def test_each_version_has_its_own_output(engine: VllmEngine) -> None:
    texts = [await say(engine, model) for model in ("actor@0", *NAMES)]
    assert len(set(texts)) == len(texts)
    assert await say(engine, "refiner@0") == texts[0]


async def test_a_mixed_batch_equals_separate_calls(engine: VllmEngine) -> None:
    models = ("actor@0", *NAMES, "refiner@0")
    topics = ("rivers", "the colour blue", "bread and how it is baked")
    calls = [(model, topic) for topic in topics for model in models]
    alone = [await say(engine, *one) for one in calls]
    together = await asyncio.gather(*(say(engine, *one) for one in calls))
    assert together == alone


async def test_an_unloaded_adapter_is_loaded_again_when_it_is_called(engine: VllmEngine) -> None:
    before = await say(engine, "actor@1")
    await engine.unload_adapter("actor@1")
    assert await say(engine, "actor@1") == before


async def test_a_name_that_was_never_loaded_is_rejected(engine: VllmEngine) -> None:
    with pytest.raises(EngineError, match="actor@9"):
        await say(engine, "actor@9")


async def test_a_name_is_bound_to_one_folder(engine: VllmEngine, tmp_path: Path) -> None:
    with pytest.raises(CheckpointRefused, match="already"):
        await engine.load_adapter("actor@1", random_adapter(tmp_path, seed=9))


async def test_an_invalid_adapter_is_rejected_and_the_engine_keeps_running(
    engine: VllmEngine, tmp_path: Path
) -> None:
    with pytest.raises(CheckpointRefused, match="actor@7"):
        await engine.load_adapter("actor@7", random_adapter(tmp_path, seed=7, rank=64))
    assert await say(engine, "actor@0")
