"""Figure 4: refined against interfering pairs of the synthetic tasks, trained and measured.

Needs no server: adapters are trained by `python -m training`, and answers generated with
transformers. Finished trainings and answers are kept, so that a run can be resumed.
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from app.cli.console import say
from app.errors import ConfigurationError, SparError
from app.evaluation.base import Metric
from experiments.context import Journal, RunOptions
from experiments.report import Cell, Line, Plot, Report, Table, point
from experiments.synthetic import ARMS, TASKS, Example, Task, examples, measured

START = "start"
"""In the place of an arm: the model before training, where both arms start."""

MAX_SAMPLE_TOKENS = 512
BATCH = 16
"""Prompts that are answered in one batch."""

Results = Mapping[tuple[str, int], Mapping[str, Metric]]
"""The metrics of a task's models, by arm (or `START`) and number of steps."""


@dataclass(frozen=True, slots=True)
class Size:
    """How much is trained and measured.

    steps: optimiser steps; one training for each number. batch: pairs per step. prompts: the number
    of prompts that each model answers. rate: the constant learning rate. threads: of the trainer;
    None leaves it to torch.
    """

    steps: tuple[int, ...]
    batch: int
    prompts: int
    rate: float
    threads: int | None = None


@dataclass(frozen=True, slots=True)
class TaskRun:
    """A task with its data, and the folder of its trainings."""

    task: Task
    model: str
    size: Size
    seed: int
    folder: Path
    journal: Journal

    @property
    def training(self) -> list[Example]:
        """The examples of the longest training, in order; shorter ones use a prefix."""
        return examples(self.task, max(self.size.steps) * self.size.batch, self.seed)

    @property
    def measuring(self) -> list[Example]:
        """Examples whose prompts are not in the training data."""
        return examples(self.task, self.size.prompts, self.seed + 1, self.training)


def interference_experiment(
    options: RunOptions, model: str, names: Sequence[str], size: Size
) -> Report:
    """Train both arms of every task, measure all models, and report.

    Raises:
        SparError: A training failed, or a file cannot be written.
    """
    results: list[tuple[Task, Results]] = []
    for name in names:
        run = _task_run(options, model, TASKS[name], size)
        results.append((run.task, {key: _measured(run, *key) for key in _models(size)}))
    return Report(
        name="interference",
        title="Refined against interfering pairs",
        shows="SPaR's Figure 4: pairs that differ only in what the prompt asks for, against pairs"
        " that also differ in something else. The tasks follow the paper's description; their"
        " texts are our own.",
        facts=options.facts(
            training=f"DPO of an adapter, {size.batch} pairs a step, rate {size.rate:g}",
            steps=", ".join(map(str, size.steps)),
            prompts=size.prompts,
        ),
        tables=[_table(*both) for both in results],
        plots=[plot for both in results for plot in _plots(*both)],
        notes=[
            "Both kinds of pairs have the same prompts and the same rejected answers, and are"
            " trained on in the same order for the same number of steps. Metrics are measured on"
            " other prompts.",
            "characters: the interfering pairs' chosen answers are in capitals, and `capitals`"
            " shows how much of that was learned. stories: they are other stories.",
        ],
    )


def training_config(run: TaskRun, data: Path, output: Path, steps: int) -> dict[str, Any]:
    """The configuration of `python -m training`.

    The rate is constant, so that a training with fewer steps is the beginning of a longer one.
    """
    size = run.size
    return {
        "role": "actor",
        "method": "dpo",
        "kind": "lora",
        "model": run.model,
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
        "max_length": MAX_SAMPLE_TOKENS,
        "seed": run.seed,
        "threads": size.threads,
    }


def answers(model: str, adapter: Path | None, prompts: Sequence[str], tokens: int) -> list[str]:
    """Greedy answers of a model folder, with an adapter or without, in the prompts' order.

    tokens: the greatest length of an answer.
    """
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    # Padded on the left: generated tokens must follow the prompt directly.
    tokenizer: Any = AutoTokenizer.from_pretrained(model, padding_side="left")
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    loaded: Any = AutoModelForCausalLM.from_pretrained(model, use_safetensors=True)
    if adapter is not None:
        loaded = PeftModel.from_pretrained(loaded, str(adapter))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    loaded = loaded.to(device).eval()
    texts: list[str] = []
    for start in range(0, len(prompts), BATCH):
        batch = tokenizer.apply_chat_template(
            [[{"role": "user", "content": text}] for text in prompts[start : start + BATCH]],
            add_generation_prompt=True,
            padding=True,
            return_dict=True,
            return_tensors="pt",
        ).to(device)
        with torch.inference_mode():
            generated = loaded.generate(
                **batch,
                max_new_tokens=tokens,
                do_sample=False,
                pad_token_id=tokenizer.pad_token_id,
            )
        new = generated[:, batch["input_ids"].shape[1] :]
        texts += tokenizer.batch_decode(new, skip_special_tokens=True)
    return texts


def _models(size: Size) -> Iterator[tuple[str, int]]:
    yield START, 0
    for arm in ARMS:
        for steps in size.steps:
            yield arm, steps


def _task_run(options: RunOptions, model: str, task: Task, size: Size) -> TaskRun:
    plan = {"model": model, "seed": options.seed, "task": task.name, **asdict(size)}
    journal = Journal(options.journals, f"interference-{task.name}", plan)
    folder = journal.file.with_suffix("").absolute()
    return TaskRun(task, model, size, options.seed, folder, journal)


def _measured(run: TaskRun, arm: str, steps: int) -> dict[str, Metric]:
    key = f"{arm}/{steps}"
    if key not in run.journal.rows:
        adapter = None if arm == START else _trained(run, arm, steps)
        say(f"{run.task.name}: asking {key}")
        prompts = [one.prompt for one in run.measuring]
        texts = answers(run.model, adapter, prompts, run.task.tokens)
        run.journal.add(key, {"answers": texts})
    return measured(run.task, run.measuring, run.journal.rows[key]["answers"])


def _trained(run: TaskRun, arm: str, steps: int) -> Path:
    """The adapter of an arm after this many steps.

    Raises:
        SparError: The training failed; the text has the last line of its error output.
    """
    name = f"{arm}-{steps}"
    output = run.folder / name
    if output.is_dir():
        return output
    config = _prepared(run, arm, steps, output)
    say(f"{run.task.name}: training {name}")
    ended = subprocess.run(
        [sys.executable, "-m", "training", str(config)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        check=False,
    )
    if ended.returncode or not output.is_dir():
        last = (ended.stderr.strip().splitlines() or ["no error output"])[-1]
        raise SparError(f"training {name} ended without a result: {last}")
    return output


def _prepared(run: TaskRun, arm: str, steps: int, output: Path) -> Path:
    """The trainer's configuration file, written with its data beside it."""
    data, config = output.with_suffix(".jsonl"), output.with_suffix(".json")
    lines = [json.dumps(one.pair(arm)) + "\n" for one in run.training]
    try:
        run.folder.mkdir(parents=True, exist_ok=True)
        data.write_text("".join(lines), encoding="utf-8")
        config.write_text(json.dumps(training_config(run, data, output, steps)), encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"cannot write to {run.folder}: {error.strerror}") from error
    return config


def _table(task: Task, results: Results) -> Table:
    rows: list[dict[str, Cell]] = [
        {"pairs": arm, "steps": steps, **{name: metrics.get(name) for name in task.metrics}}
        for (arm, steps), metrics in results.items()
    ]
    return Table(task.name, rows)


def _plots(task: Task, results: Results) -> list[Plot]:
    """A plot for each metric, in which both arms start at the model before training."""
    plots = []
    for metric in task.metrics:
        name = f"interference-{task.name}-{metric.replace(' ', '-')}"
        lines = [
            Line(
                arm,
                [
                    point(steps, metrics[metric])
                    for (trained, steps), metrics in results.items()
                    if trained in (START, arm) and metric in metrics
                ],
            )
            for arm in ARMS
        ]
        plots.append(Plot(name, f"{task.name}: {metric}", "steps", lines))
    return plots
