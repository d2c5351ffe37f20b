"""Figure 4: refined against interfering pairs, trained for real by `python -m training`.

Needs no server. Every training, and every set of answers, that is there is not made again.
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from app.cli.console import say
from app.cli.reproduce.facts import facts
from app.cli.reproduce.lab import Wanted
from app.errors import ConfigurationError, SparError
from app.evaluation.base import Figure
from app.evaluation.reproduce.characters import CHARACTERS
from app.evaluation.reproduce.generating import answers
from app.evaluation.reproduce.interference import ARMS, Example, Task, examples, measured
from app.evaluation.reproduce.interference_report import START, interference_report
from app.evaluation.reproduce.journal import Journal
from app.evaluation.reproduce.report import Report
from app.evaluation.reproduce.stories import STORIES

TASKS = {task.name: task for task in (CHARACTERS, STORIES)}
LONGEST_SAMPLE = 512


@dataclass(frozen=True, slots=True)
class Size:
    """How much is trained and asked.

    steps: optimiser steps; one training for each number. batch: pairs of a step. prompts: how many
    each model is asked. rate: the learning rate, which stays the same. threads: of the trainer;
    None leaves it to torch.
    """

    steps: tuple[int, ...]
    batch: int
    prompts: int
    rate: float
    threads: int | None = None


@dataclass(frozen=True, slots=True)
class Bench:
    """A task with its data, and where its trainings are kept."""

    task: Task
    model: str
    size: Size
    seed: int
    folder: Path
    journal: Journal

    @property
    def training(self) -> list[Example]:
        """A pair for each place in the longest training."""
        return examples(self.task, max(self.size.steps) * self.size.batch, self.seed)

    @property
    def asked(self) -> list[Example]:
        """Other prompts of the same kind."""
        return examples(self.task, self.size.prompts, self.seed + 1, self.training)


def interference(wanted: Wanted, model: str, names: Sequence[str], size: Size) -> Report:
    """Train both arms of every task, ask all models, and report. Raises `SparError`."""
    found = []
    for name in names:
        bench = _bench(wanted, model, TASKS[name], size)
        found.append((bench.task, {key: _measured(bench, *key) for key in _models(size)}))
    about = facts(
        wanted,
        training=f"DPO of an adapter, {size.batch} pairs a step, rate {size.rate:g}",
        steps=", ".join(map(str, size.steps)),
        prompts=size.prompts,
    )
    return interference_report(found, about)


def _models(size: Size) -> Iterator[tuple[str, int]]:
    yield START, 0
    for arm in ARMS:
        for steps in size.steps:
            yield arm, steps


def _bench(wanted: Wanted, model: str, task: Task, size: Size) -> Bench:
    folder = wanted.where.settings.data / "reproduce"
    plan = {"model": model, "seed": wanted.seed, "task": task.name, **asdict(size)}
    journal = Journal(folder, f"interference-{task.name}", plan)
    return Bench(task, model, size, wanted.seed, journal.file.with_suffix("").absolute(), journal)


def _measured(bench: Bench, arm: str, steps: int) -> dict[str, Figure]:
    key = f"{arm}/{steps}"
    if key not in bench.journal.rows:
        adapter = None if arm == START else _trained(bench, arm, steps)
        say(f"{bench.task.name}: asking {key}")
        prompts = [one.prompt for one in bench.asked]
        texts = answers(bench.model, adapter, prompts, bench.task.tokens)
        bench.journal.add(key, {"answers": texts})
    return measured(bench.task, bench.asked, bench.journal.rows[key]["answers"])


def _trained(bench: Bench, arm: str, steps: int) -> Path:
    """The adapter of an arm after so many steps. Raises `SparError` with the trainer's reason."""
    name = f"{arm}-{steps}"
    output = bench.folder / name
    if output.is_dir():
        return output
    config = _prepared(bench, arm, steps, output)
    say(f"{bench.task.name}: training {name}")
    ended = subprocess.run(
        [sys.executable, "-m", "training", str(config)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        check=False,
    )
    if ended.returncode or not output.is_dir():
        last = (ended.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise SparError(f"training {name} ended without a result: {last}")
    return output


def _prepared(bench: Bench, arm: str, steps: int, output: Path) -> Path:
    """The file that tells the trainer what to do, its data beside it."""
    data, config = output.with_suffix(".jsonl"), output.with_suffix(".json")
    lines = [json.dumps(one.pair(arm)) + "\n" for one in bench.training]
    told = training_config(bench, data, output, steps)
    try:
        bench.folder.mkdir(parents=True, exist_ok=True)
        data.write_text("".join(lines), encoding="utf-8")
        config.write_text(json.dumps(told), encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"cannot write to {bench.folder}: {error.strerror}") from error
    return config


def training_config(bench: Bench, data: Path, output: Path, steps: int) -> dict[str, Any]:
    """What `python -m training` is told; a constant rate, so that fewer steps are a beginning."""
    size = bench.size
    return {
        "role": "actor",
        "method": "dpo",
        "kind": "lora",
        "model": bench.model,
        "data": str(data),
        "output": str(output),
        "progress": f"{output}.progress",
        "lora_targets": ["o_proj", "down_proj"],
        "learning_rate": size.rate,
        "schedule": "constant",
        "warmup_ratio": 0,
        "max_steps": steps,
        "batch_size": size.batch,
        "micro_batch": size.batch,
        "max_length": LONGEST_SAMPLE,
        "seed": bench.seed,
        "threads": size.threads,
    }
