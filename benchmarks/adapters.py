"""What an adapter costs per token, for several choices of layers and rank."""

import asyncio
import json
import os
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from importlib.metadata import entry_points
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from safetensors.numpy import save_file

from app.checkpoints.formats import CONFIG, WEIGHTS, read_model_tensors
from app.config.settings import RANKS, Settings
from app.domain.checkpoint import Role, served_name
from app.domain.prompt import Message
from app.domain.search import Sampling
from app.engine.arguments import on_cpu
from app.engine.base import Completion
from app.errors import ConfigurationError
from benchmarks.forcing import ForcedCall
from benchmarks.instructions import LONG_INSTRUCTIONS
from benchmarks.local import Local, started
from benchmarks.measure import Context, Row, Spread, Stopwatch, Target, Work, alternate

_SIZE = 0.01
"""Standard deviation of the numbers."""
_CHOICE = re.compile(r"(?P<targets>\w+(?:,\w+)*):(?P<rank>[1-9]\d{0,2})")


@dataclass(frozen=True, slots=True)
class Choice:
    """The linear layers that get an adapter, by the last part of their names, and its rank."""

    targets: tuple[str, ...]
    rank: int

    @classmethod
    def parse(cls, text: str) -> "Choice":
        """The inverse of `str`, for example of `o_proj,down_proj:16`.

        Raises:
            ConfigurationError: The text has another format.
        """
        found = _CHOICE.fullmatch(text)
        if found is None or int(found["rank"]) > RANKS[-1]:
            raise ConfigurationError(
                f"{text!r} is not like o_proj,down_proj:16, with a rank of at most {RANKS[-1]}"
            )
        return cls(tuple(found["targets"].split(",")), int(found["rank"]))

    @property
    def engine_rank(self) -> int:
        """The engine's `max_lora_rank`: the smallest supported rank that is sufficient."""
        return next(rank for rank in RANKS if rank >= self.rank)

    def __str__(self) -> str:
        return f"{','.join(self.targets)}:{self.rank}"


def write_adapter(folder: Path, model: Path, choice: Choice) -> Path:
    """Write a random adapter in PEFT's format, for every layer of the model that is chosen.

    Raises:
        ConfigurationError: The model is not a folder, or lacks one of the chosen layers.
    """
    tensors = {}
    generator = np.random.default_rng(0)
    for layer, (outputs, inputs) in _chosen_layers(model, choice).items():
        for part, shape in (("A", (choice.rank, inputs)), ("B", (outputs, choice.rank))):
            values = generator.normal(0, _SIZE, shape).astype(np.float32)
            tensors[f"base_model.model.{layer}.lora_{part}.weight"] = values
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": model.name,
        "r": choice.rank,
        "lora_alpha": choice.rank,
        "lora_dropout": 0.0,
        "bias": "none",
        "target_modules": sorted(choice.targets),
    }
    folder.mkdir(parents=True)
    save_file(tensors, folder / WEIGHTS)
    (folder / CONFIG).write_text(json.dumps(config), encoding="utf-8")
    return folder


def _chosen_layers(model: Path, choice: Choice) -> Mapping[str, tuple[int, ...]]:
    """The shape of every chosen layer's weight, by the layer's name."""
    if not model.is_dir():
        raise ConfigurationError(f"{model} is not a folder, so its layers' shapes are unknown")
    shapes = {
        name.removesuffix(".weight"): tensor.shape
        for name, tensor in read_model_tensors(model).items()
        if name.endswith(".weight") and len(tensor.shape) == 2
    }
    chosen = {
        layer: shape
        for layer, shape in shapes.items()
        if layer.rpartition(".")[2] in choice.targets
    }
    missing = set(choice.targets) - {layer.rpartition(".")[2] for layer in chosen}
    if missing:
        raise ConfigurationError(f"{model} has no layers {', '.join(sorted(missing))}")
    return chosen


GROUP = "vllm.general_plugins"
OUR_PLUGIN = "spar_grouped_lora"
VARIABLE = "VLLM_PLUGINS"
"""vLLM loads only the plugins that this environment variable names, if it is set."""


class Kernel(StrEnum):
    """Ours (`app.engine.cpu_lora`), or vLLM's class for CPUs."""

    OURS = "ours"
    VLLM = "vllm"

    @property
    def plugins(self) -> list[str]:
        """The vLLM plugins that give this one: all installed ones, with or without ours."""
        installed = {plugin.name for plugin in entry_points(group=GROUP)}
        return sorted(installed if self is Kernel.OURS else installed - {OUR_PLUGIN})


@contextmanager
def using(kernel: Kernel) -> Iterator[None]:
    """Engines that are started inside the block use this implementation."""
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = ",".join(kernel.plugins)
    try:
        yield
    finally:
        if before is None:
            del os.environ[VARIABLE]
        else:
            os.environ[VARIABLE] = before


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

    Every choice has a separate engine, one after the other. Both sides of a ratio come from
    one engine and are alternated; figures of different engines are not compared.
    """

    def __init__(self, choices: Sequence[Choice], kernels: Sequence[Kernel]) -> None:
        self._choices = choices
        self._kernels = kernels

    async def run(self, context: Context) -> list[Row]:
        """One engine after the other.

        Raises:
            ConfigurationError: An engine cannot start, or the model lacks a chosen layer.
        """
        rows = []
        for choice in self._choices:
            for kernel in self._kernels if on_cpu() else [Kernel.OURS]:
                rows += await _measure(context, choice, kernel)
        return rows


async def _measure(context: Context, choice: Choice, kernel: Kernel) -> list[Row]:
    name = f"{choice} ({kernel})"
    context.say(f"{name}: starting an engine")
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
    """An engine for this choice."""
    return settings.model_copy(
        update={
            "adapters": max(1, settings.adapters),
            "adapter_rank": choice.engine_rank,
            "adapter_targets": choice.targets,
        }
    )


async def _decoding(context: Context, local: Local, name: str, load: int) -> Row:
    """`load` short prompts at once, answered to the full length."""
    tokens = _answer_tokens(context)
    texts = list(islice(cycle(LONG_INSTRUCTIONS), load))

    async def answer(model: str) -> Work:
        context.say(f"{name}: {model}, {load} at once")
        await local.forget()
        watch = Stopwatch()
        await asyncio.gather(*(_complete(local, model, text, tokens) for text in texts))
        seconds = watch.seconds
        return Work(seconds, load * tokens)

    works = await _both(answer, context.rounds)
    rates = {model: [work.rate for work in found] for model, found in works.items()}
    return _row(f"time per token, {name}", load, works, {"tokens_per_second": rates})


async def _prefilling(context: Context, local: Local, name: str) -> Row:
    """Long prompts, one after the other, of which only the first token is generated."""
    texts = [f"Story {n}. {'river lake sea ' * (PREFILL_WORDS // 3)}" for n in range(PREFILLS)]

    async def prefill(model: str) -> Work:
        context.say(f"{name}: {model}, long prompts")
        await local.forget()
        watch = Stopwatch()
        completions = [await _complete(local, model, text, 1) for text in texts]
        seconds = watch.seconds
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
    """A few answers of each, to exclude first-use costs."""
    for model in (BASE, ADAPTER):
        texts = LONG_INSTRUCTIONS[:4]
        await asyncio.gather(*(_complete(local, model, text, 8) for text in texts))


async def _complete(local: Local, model: str, text: str, tokens: int) -> Completion:
    sampling = Sampling(temperature=0.9, top_p=1.0, max_tokens=tokens)
    return await local.engine.complete(ForcedCall((Message("user", text),), model, sampling))


def _answer_tokens(context: Context) -> int:
    return ANSWER_TOKENS // 4 if context.quick else ANSWER_TOKENS
