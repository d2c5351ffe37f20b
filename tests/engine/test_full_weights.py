"""Full weights on the real engine: replaced while it runs, and as if they had always been there."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio
import torch
from safetensors.torch import load_file, save_file

from app.domain.prompt import Message
from app.domain.search import Sampling
from app.engine.base import Call
from app.engine.vllm import VllmEngine
from app.errors import CheckpointRefused, EngineError
from app.model_files.resolve import resolve_model
from tests.helpers.adapters import random_adapter

pytestmark = [pytest.mark.engine, pytest.mark.asyncio(loop_scope="package")]

SECONDS_UNTIL_STUCK = 200
NOISE = 0.3
"""In standard deviations of each matrix."""

LONG = "Read this: " + "the river is wide and slow. " * 30
"""Longer than a block of the prefix cache."""


@pytest.fixture(scope="module")
def base() -> Path:
    """The folder of the model that the engine is started with."""
    return Path(resolve_model(None))


@pytest.fixture(scope="module")
def changed(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights that say something else, written as a training writes them."""
    folder = tmp_path_factory.mktemp("checkpoints") / "actor@1"
    shutil.copytree(base, folder)
    torch.manual_seed(1)
    for file in folder.glob("*.safetensors"):
        tensors = load_file(file)
        for name, tensor in tensors.items():
            if "down_proj" in name or "o_proj" in name:
                noise = torch.randn(tensor.shape) * tensor.float().std() * NOISE
                tensors[name] = (tensor.float() + noise).to(tensor.dtype)
        save_file(tensors, file, {"format": "pt"})
    return folder


@pytest_asyncio.fixture(loop_scope="package")
async def engine(engine: VllmEngine, base: Path) -> AsyncIterator[VllmEngine]:
    """The engine with the weights it was started with."""
    yield engine
    await engine.load_weights("actor@0", base)


async def say(engine: VllmEngine, model: str, question: str = LONG) -> str:
    messages = (Message("user", question),)
    sampling = Sampling(temperature=0.0, top_p=1.0, max_tokens=16)
    return (await engine.complete(Call(messages, model, sampling))).text


async def until(condition: Callable[[], bool]) -> None:
    """Wait until the condition holds, which may take an engine's start."""
    async with asyncio.timeout(SECONDS_UNTIL_STUCK):
        while True:
            if condition():
                return
            await asyncio.sleep(0.002)


async def test_new_weights_speak_and_the_old_ones_come_back(
    engine: VllmEngine, base: Path, changed: Path
) -> None:
    """The same prompt each time: what is cached of it must not outlive its weights."""
    before = await say(engine, "actor@0")
    await engine.load_weights("actor@1", changed)
    after = await say(engine, "actor@1")
    assert after != before
    assert await say(engine, "actor@1") == after
    await engine.load_weights("actor@0", base)
    assert await say(engine, "actor@0") == before
    await engine.load_weights("actor@2", changed)
    assert await say(engine, "actor@2") == after


async def test_names_of_replaced_weights_are_refused(engine: VllmEngine, changed: Path) -> None:
    await engine.load_weights("actor@1", changed)
    for name in ("actor@0", "refiner@0"):
        with pytest.raises(EngineError, match=name):
            await say(engine, name)


async def test_adapters_go_with_the_weights_they_were_for(
    engine: VllmEngine, base: Path, changed: Path, tmp_path: Path
) -> None:
    adapter = random_adapter(tmp_path / "actor@5", seed=5)
    await engine.load_adapter("actor@5", adapter)
    before = await say(engine, "actor@5")
    await engine.load_weights("actor@1", changed)
    with pytest.raises(EngineError, match="actor@5"):
        await say(engine, "actor@5")
    await engine.load_adapter("actor@6", adapter)
    assert await say(engine, "actor@6") not in (before, await say(engine, "actor@1"))
    await engine.load_weights("actor@0", base)
    await engine.load_adapter("actor@5", adapter)
    assert await say(engine, "actor@5") == before


async def test_calls_under_way_end_on_the_weights_they_began_on(
    engine: VllmEngine, changed: Path
) -> None:
    alone = await say(engine, "actor@0")
    running = [asyncio.create_task(say(engine, "actor@0")) for _ in range(4)]
    await until(lambda: engine.unfinished == len(running))
    await engine.load_weights("actor@1", changed)
    assert await asyncio.gather(*running) == [alone] * 4


async def test_weights_that_cannot_be_loaded_leave_the_old_ones(
    engine: VllmEngine, changed: Path, tmp_path: Path
) -> None:
    before = await say(engine, "actor@0")
    broken = shutil.copytree(changed, tmp_path / "actor@3")
    for file in broken.glob("*.safetensors"):
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(CheckpointRefused, match="actor@3"):
        await engine.load_weights("actor@3", broken)
    await until(lambda: engine.ready)  # it is started again where it cannot go back
    assert await say(engine, "actor@0") == before


async def test_a_restarted_engine_has_the_weights_it_had_last(
    engine: VllmEngine, changed: Path
) -> None:
    await engine.load_weights("actor@1", changed)
    before, restarts = await say(engine, "actor@1"), engine.restarts
    engine._process.request_restart()
    await until(lambda: engine.restarts > restarts and engine.ready)
    assert await say(engine, "actor@1") == before
