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
from app.cli.reproduce_lab import Wanted, facts
from app.errors import SparError
from app.evaluation.base import Figure
from app.evaluation.reproduce.characters import CHARACTERS
from app.evaluation.reproduce.generating import answers
from app.evaluation.reproduce.interference import ARMS, Example, Task, examples, measured
from app.evaluation.reproduce.journal import Journal
from app.evaluation.reproduce.report import Cell, Line, Plot, Point, Report, Table, point
from app.evaluation.reproduce.stories import STORIES

TASKS = {task.name: task for task in (CHARACTERS, STORIES)}
START = "start"
"""The model before any training."""
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
    tables, plots = [], []
    for name in names:
        bench = _bench(wanted, model, TASKS[name], size)
        found = {key: _measured(bench, *key) for key in _models(size)}
        tables.append(_table(bench.task, found))
        plots += _plots(bench.task, found)
    return Report(
        name="interference",
        title="Refined against interfering pairs",
        shows="SPaR's Figure 4: pairs that differ only in what is asked, against pairs that also"
        " differ in something else. Built after the paper's description, in our own words.",
        facts=facts(
            wanted,
            training=f"DPO of an adapter, {size.batch} pairs a step, rate {size.rate:g}",
            steps=", ".join(map(str, size.steps)),
            prompts=size.prompts,
        ),
        tables=tables,
        plots=plots,
        notes=[
            "Both kinds of pairs have the same prompts and the same rejected answers, and are"
            " trained on in the same order for as many steps. The prompts asked are others.",
            "characters: the interfering pairs' chosen answers are in capitals, and `capitals`"
            " shows how much of that was learned. stories: they tell another story.",
        ],
    )


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
    bench.folder.mkdir(parents=True, exist_ok=True)
    name = f"{arm}-{steps}"
    output = bench.folder / name
    if output.is_dir():
        return output
    data, config = bench.folder / f"{name}.jsonl", bench.folder / f"{name}.json"
    lines = [json.dumps(one.pair(arm)) + "\n" for one in bench.training]
    data.write_text("".join(lines), encoding="utf-8")
    config.write_text(json.dumps(training_config(bench, data, output, steps)), encoding="utf-8")
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
        "gradient_accumulation": 1,
        "max_length": LONGEST_SAMPLE,
        "seed": bench.seed,
        "threads": size.threads,
    }


def _table(task: Task, found: dict[tuple[str, int], dict[str, Figure]]) -> Table:
    rows: list[dict[str, Cell]] = [
        {"pairs": arm, "steps": steps, **{name: figures.get(name) for name in task.metrics}}
        for (arm, steps), figures in found.items()
    ]
    return Table(task.name, rows)


def _plots(task: Task, found: dict[tuple[str, int], dict[str, Figure]]) -> list[Plot]:
    """A plot for each metric; both arms begin at the model before training."""
    plots = []
    for metric in task.metrics:
        lines = []
        for arm in ARMS:
            points: list[Point] = [
                point(steps, figures[metric])
                for (name, steps), figures in found.items()
                if name in (START, arm) and metric in figures
            ]
            lines.append(Line(arm, points))
        name = f"interference-{task.name}-{metric.replace(' ', '-')}"
        plots.append(Plot(name, f"{task.name}: {metric}", "steps", "", lines))
    return plots
