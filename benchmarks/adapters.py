"""What an adapter costs per token, for several choices of layers and rank."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory

from app.config.settings import Settings
from app.domain.checkpoint import Role, served_name
from app.domain.prompt import Message
from app.domain.search import Sampling
from app.engine.arguments import on_cpu
from app.engine.base import Call, Completion
from benchmarks.adapter_files import Choice, write_adapter
from benchmarks.context import Context
from benchmarks.instructions import LONG_INSTRUCTIONS
from benchmarks.kernels import Kernel, using
from benchmarks.local import Local, started
from benchmarks.measure import Spread, Stopwatch, Work, alternate
from benchmarks.report import Row, Target

BASE, ADAPTER = served_name(Role.ACTOR, 0), served_name(Role.ACTOR, 1)
LOADS = (1, 16, 48)
ANSWER_TOKENS = 64
PREFILLS, PREFILL_WORDS = 3, 1500
LIMIT = 1.3
ALL = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
CHOICES = (
    Choice(("o_proj", "down_proj"), 16),
    Choice(("down_proj",), 16),
    Choice(("q_proj", "v_proj"), 16),
    Choice(ALL, 16),
)


class Adapters:
    """Forced answers with a random adapter, and the same ones of the base model beside it.

    Every choice has an engine of its own, one after the other. Both sides of a ratio come from
    one engine and are alternated; figures of different engines are not compared.
    """

    def __init__(self, choices: Sequence[Choice], kernels: Sequence[Kernel]) -> None:
        self._choices = choices
        self._kernels = kernels

    def expected_tokens(self, context: Context) -> float:
        """Both sides, every load, every round, every engine; a prefill counts as an answer."""
        loads = context.loads(*LOADS)
        answers = sum(loads) + (PREFILLS if 1 in loads else 0)
        engines = len(self._choices) * len(self._kernels)
        return 2 * engines * context.rounds * answers * _answer_tokens(context)

    async def run(self, context: Context) -> list[Row]:
        """One engine after the other. Raises `ConfigurationError`."""
        rows = []
        for choice in self._choices:
            for kernel in self._kernels if on_cpu() else [Kernel.OURS]:
                rows += await _measure(context, choice, kernel)
        return rows


async def _measure(context: Context, choice: Choice, kernel: Kernel) -> list[Row]:
    name = f"{choice} ({kernel})"
    context.advance(f"{name}: starting an engine", 0)
    with TemporaryDirectory() as folder, using(kernel):
        adapter = write_adapter(Path(folder) / "adapter", Path(context.model), choice)
        async with started(_settings(context.settings, choice), context.model) as local:
            await local.engine.load_adapter(ADAPTER, adapter)
            await _warm_up(local)
            loads = context.loads(*LOADS)
            rows = [await _decoding(context, local, name, load) for load in loads]
            if 1 in loads:
                rows.append(await _prefilling(context, local, name))
            return rows


def _settings(settings: Settings, choice: Choice) -> Settings:
    """An engine for just this choice."""
    return settings.model_copy(
        update={
            "adapters": max(1, settings.adapters),
            "adapter_rank": choice.engine_rank,
            "adapter_targets": choice.targets,
        }
    )


async def _decoding(context: Context, local: Local, name: str, load: int) -> Row:
    """So many short prompts at once, answered to the full length."""
    tokens = _answer_tokens(context)
    texts = list(islice(cycle(LONG_INSTRUCTIONS), load))

    async def answer(model: str) -> Work:
        context.advance(f"{name}: {model}, {load} at once", 0)
        await local.forget()
        watch = Stopwatch()
        await asyncio.gather(*(_complete(local, model, text, tokens) for text in texts))
        seconds = watch.seconds
        context.advance("", load * tokens)
        return Work(seconds, load * tokens)

    works = await _both(answer, context.rounds)
    rates = {model: [work.rate for work in found] for model, found in works.items()}
    return _row(f"time per token, {name}", load, works, {"tokens_per_second": rates})


async def _prefilling(context: Context, local: Local, name: str) -> Row:
    """Long prompts, one after the other, of which only the first token is generated."""
    texts = [f"Story {n}. {'river lake sea ' * (PREFILL_WORDS // 3)}" for n in range(PREFILLS)]

    async def prefill(model: str) -> Work:
        context.advance(f"{name}: {model}, long prompts", 0)
        await local.forget()
        watch = Stopwatch()
        completions = [await _complete(local, model, text, 1) for text in texts]
        seconds = watch.seconds
        context.advance("", PREFILLS * _answer_tokens(context))
        return Work(seconds, sum(completion.prompt_tokens for completion in completions))

    works = await _both(prefill, context.rounds)
    prompts = {"prompts": PREFILLS, "prompt_tokens": works[BASE][0].tokens}
    return _row(f"time of a long prompt, {name}", 1, works, prompts)


async def _both(
    contender: Callable[[str], Awaitable[Work]], rounds: int
) -> Mapping[str, list[Work]]:
    return await alternate({model: partial(contender, model) for model in (BASE, ADAPTER)}, rounds)


def _row(
    name: str, load: int, works: Mapping[str, list[Work]], detail: Mapping[str, object]
) -> Row:
    """The adapter's time divided by the base model's; both do the same work."""
    seconds = {model: [work.seconds for work in found] for model, found in works.items()}
    return Row(
        name,
        load,
        Spread.of_ratios(seconds[ADAPTER], seconds[BASE]),
        target=Target(LIMIT, at_least=False),
        detail={"seconds": seconds, **detail},
    )


async def _warm_up(local: Local) -> None:
    """A few answers of each, so that neither side pays for first times."""
    for model in (BASE, ADAPTER):
        texts = LONG_INSTRUCTIONS[:4]
        await asyncio.gather(*(_complete(local, model, text, 8) for text in texts))


async def _complete(local: Local, model: str, text: str, tokens: int) -> Completion:
    sampling = Sampling(temperature=0.9, top_p=1.0, max_tokens=tokens)
    return await local.engine.complete(
        Call((Message("user", text),), model, sampling, chunk_tokens=tokens, forced=True)
    )


def _answer_tokens(context: Context) -> int:
    return ANSWER_TOKENS // 4 if context.quick else ANSWER_TOKENS
