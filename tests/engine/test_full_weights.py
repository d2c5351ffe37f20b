"""Full weights on the real engine, replaced at runtime."""

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
    """Weights with different output, in a training's format."""
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
    """Wait until the condition holds, with a timeout for an engine's start."""
    async with asyncio.timeout(SECONDS_UNTIL_STUCK):
        while True:
            if condition():
                return
            await asyncio.sleep(0.002)


async def test_weights_are_replaced_and_restored(
    engine: VllmEngine, base: Path, changed: Path
) -> None:
    """The same prompt each time: its prefix cache must be dropped with the weights."""
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


async def test_adapters_are_rejected_after_their_weights_are_replaced(
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


async def test_calls_in_progress_finish_on_their_weights(engine: VllmEngine, changed: Path) -> None:
    alone = await say(engine, "actor@0")
    running = [asyncio.create_task(say(engine, "actor@0")) for _ in range(4)]
    await until(lambda: engine.unfinished == len(running))
    await engine.load_weights("actor@1", changed)
    assert await asyncio.gather(*running) == [alone] * 4


async def test_invalid_weights_keep_the_old_ones(
    engine: VllmEngine, changed: Path, tmp_path: Path
) -> None:
    before = await say(engine, "actor@0")
    broken = shutil.copytree(changed, tmp_path / "actor@3")
    for file in broken.glob("*.safetensors"):
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(CheckpointRefused, match="actor@3"):
        await engine.load_weights("actor@3", broken)
    await until(lambda: engine.ready)  # restarted if the old weights cannot be restored
    assert await say(engine, "actor@0") == before


async def test_a_restarted_engine_has_the_last_weights(engine: VllmEngine, changed: Path) -> None:
    await engine.load_weights("actor@1", changed)
    before, restarts = await say(engine, "actor@1"), engine.restarts
    engine._process.request_restart()
    await until(lambda: engine.restarts > restarts and engine.ready)
    assert await say(engine, "actor@1") == before
