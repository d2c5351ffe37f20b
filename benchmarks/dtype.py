"""Serving and training in bfloat16 and in float32 on this machine, side by side."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import psutil

from app.config.settings import Settings
from app.domain.checkpoint import Role, served_name
from app.domain.dtype import Dtype
from app.domain.prompt import Message, Prompt
from app.domain.search import Sampling, SearchOptions
from app.engine.base import Call
from app.search.run import run_search
from benchmarks.bound import ForcingEngine, bfs_request
from benchmarks.forcing import forced
from benchmarks.instructions import LONG_INSTRUCTIONS
from benchmarks.local import Local, started
from benchmarks.measure import Context, Row, Spread, Stopwatch, Work, alternate
from training.config import Method, TrainingConfig, TrainingStep
from worker.trainer import run_training

DTYPES: tuple[Dtype, Dtype] = ("bfloat16", "float32")
LOADS = (1, 4, 32)
ANSWER_TOKENS = 64
TREE = SearchOptions(branch=3, beam=2, depth=2, votes=3, early_stop=False)
"""9 nodes and 27 votes."""
PAIRS, STEPS = 8, 3
"""A step trains on all pairs."""
ANSWER_WORDS = 128
"""Words of a pair's answer; with the prompt it has about 165 tokens."""
SAMPLE_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Served:
    """What one engine did: answers by load, one tree; its processes' peak memory in GiB."""

    answers: Mapping[int, Work]
    tree: Work
    memory: float


@dataclass(frozen=True, slots=True)
class Trained:
    """Seconds per optimizer step, and the peak memory of the trainer's processes in GiB."""

    seconds: float
    memory: float


class Dtypes:
    """The same forced answers, tree and DPO training in both number types, one after the other."""

    async def run(self, context: Context) -> list[Row]:
        """Every round starts one engine and one trainer in each number type.

        Raises:
            ConfigurationError: The engine cannot start.
            TrainingFailed: A training ended without a result.
        """
        served = await alternate(
            {dtype: partial(_serve, context, dtype) for dtype in DTYPES}, context.rounds
        )
        trained = await alternate(
            {dtype: partial(_train, context, dtype) for dtype in DTYPES}, context.rounds
        )
        return rows_of(served, trained)


def rows_of(
    served: Mapping[str, Sequence[Served]], trained: Mapping[str, Sequence[Trained]]
) -> list[Row]:
    """Both number types' values, and the ratios of their times, per round of the same work."""
    rows = []
    for load in served[DTYPES[0]][0].answers:
        times = {
            dtype: [one.answers[load].seconds for one in found] for dtype, found in served.items()
        }
        rates = {
            dtype: [one.answers[load].rate for one in found] for dtype, found in served.items()
        }
        rows += [*_values("decoding", load, rates, "tokens/s"), _ratio("decoding", load, times)]
    trees = {dtype: [one.tree.seconds for one in found] for dtype, found in served.items()}
    steps = {dtype: [one.seconds for one in found] for dtype, found in trained.items()}
    engines = {dtype: [one.memory for one in found] for dtype, found in served.items()}
    trainers = {dtype: [one.memory for one in found] for dtype, found in trained.items()}
    return [
        *rows,
        *_values("tree of 9 nodes and 27 votes", 1, trees, "s"),
        _ratio("tree", 1, trees),
        *_values("DPO, one step", 1, steps, "s"),
        _ratio("DPO, one step", 1, steps),
        *_values("memory of the engine and the checker", 1, engines, "GiB"),
        *_values("memory of the trainer", 1, trainers, "GiB"),
    ]


def _values(name: str, load: int, values: Mapping[str, Sequence[float]], unit: str) -> list[Row]:
    return [Row(f"{name}, {dtype}", load, Spread.of(values[dtype]), unit) for dtype in DTYPES]


def _ratio(name: str, load: int, seconds: Mapping[str, Sequence[float]]) -> Row:
    emulated, native = (seconds[dtype] for dtype in DTYPES)
    return Row(f"{name}, time: bfloat16 / float32", load, Spread.of_ratios(emulated, native))


async def _serve(context: Context, dtype: Dtype) -> Served:
    """All loads and one tree on a new engine; the prefix cache is emptied before each."""
    context.say(f"serving in {dtype}")
    settings = context.settings.model_copy(update={"dtype": dtype})
    async with _peak_memory() as memory, started(settings, context.model) as local:
        await _answer(local, 4, 8)
        answers = {
            load: await _answer(local, load, _shorter(context, ANSWER_TOKENS))
            for load in context.loads(*LOADS)
        }
        tree = await _search(local, settings, _shorter(context, ANSWER_TOKENS))
    return Served(answers, tree, memory())


async def _answer(local: Local, load: int, tokens: int) -> Work:
    """`load` answers at once, each of exactly `tokens` tokens."""
    await local.forget()
    sampling = Sampling(temperature=0.9, top_p=1.0, max_tokens=tokens)
    calls = [
        forced(
            Call(
                (Message("user", text),), served_name(Role.ACTOR, 0), sampling, chunk_tokens=tokens
            )
        )
        for text in islice(cycle(LONG_INSTRUCTIONS), load)
    ]
    watch = Stopwatch()
    await asyncio.gather(*map(local.engine.complete, calls))
    return Work(watch.seconds, load * tokens)


async def _search(local: Local, settings: Settings, tokens: int) -> Work:
    """One tree with every text at its full length and every verdict a no."""
    await local.forget()
    request = bfs_request(settings, Prompt.from_text(LONG_INSTRUCTIONS[0]), 0, tokens, TREE)
    watch = Stopwatch()
    result = await run_search(request, local.roles(ForcingEngine(local.engine), tokens))
    return Work(watch.seconds, result.usage.completion_tokens)


async def _train(context: Context, dtype: Dtype) -> Trained:
    """DPO of an adapter for a few steps, by `accelerate launch` as the worker starts it."""
    context.say(f"training in {dtype}")
    ends: list[float] = []

    def on_progress(step: TrainingStep) -> None:
        ends.append(step.elapsed)

    with TemporaryDirectory() as folder:
        async with _peak_memory() as memory:
            await run_training(training_config(Path(folder), context, dtype), on_progress)
    return Trained(median(step_seconds(ends)), memory())


def step_seconds(ends: Sequence[float]) -> list[float]:
    """The seconds that each step took, from the seconds at which the steps ended."""
    return [end - begin for begin, end in zip([0.0, *ends], ends, strict=False)]


def training_config(folder: Path, context: Context, dtype: Dtype) -> TrainingConfig:
    """A short DPO training of an adapter, whose data is written to the folder."""
    data = folder / "pairs.jsonl"
    lines = [json.dumps(_pair(number)) + "\n" for number in range(PAIRS)]
    data.write_text("".join(lines), encoding="utf-8")
    return TrainingConfig(
        role=Role.ACTOR,
        method=Method.DPO,
        model=context.model,
        data=data,
        output=folder / "adapter",
        progress=folder / "progress.jsonl",
        learning_rate=2e-5,
        max_steps=_shorter(context, STEPS),
        batch_size=PAIRS,
        dtype=dtype,
        threads=len(os.sched_getaffinity(0)),
    )


def _pair(number: int) -> dict[str, object]:
    """A preference between two made-up answers of equal length."""

    def message(role: str, content: str) -> list[dict[str, str]]:
        return [{"role": role, "content": content}]

    def answer(*words: str) -> str:
        return " ".join(islice(cycle(words), ANSWER_WORDS))

    return {
        "prompt": message("user", LONG_INSTRUCTIONS[number]),
        "chosen": message("assistant", answer("river", "lake", "sea")),
        "rejected": message("assistant", answer("stone", "sand", "hill")),
    }


def _shorter(context: Context, size: int) -> int:
    return max(1, size // 4) if context.quick else size


@asynccontextmanager
async def _peak_memory() -> AsyncIterator[Callable[[], float]]:
    """Gives the most that this process's descendants held together inside the block, in GiB.

    It is the sum of their proportional set sizes: a page that n processes share counts 1/n in each.
    """
    samples = [0.0]

    async def watch() -> None:
        while True:
            samples.append(await asyncio.to_thread(_held_gib))
            await asyncio.sleep(SAMPLE_SECONDS)

    watching = asyncio.create_task(watch())
    try:
        yield lambda: max(samples)
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


def _held_gib() -> float:
    held = 0
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):  # it has ended since
            held += child.memory_full_info().pss
    return held / 2**30
