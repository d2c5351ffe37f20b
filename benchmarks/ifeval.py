"""IFEval over the versions of a running server: `python -m benchmarks ifeval`.

Greedy answers, the strict checks, and the two accuracies of the IFEval paper (arXiv 2311.07911):
the share of prompts of which every instruction is followed, and the share of instructions.
"""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.progress import Progress
from rich.table import Table

from app.constraints.checker import COPY_ID, Checker
from app.domain.prompt import Constraint, Prompt
from app.domain.sampling import Sampling
from app.engine.base import Call
from app.engine.remote import RemoteEngine
from app.evaluation.paired import compare, wilson

AT_ONCE = 48
CALL_SECONDS = 600.0
LEAST_PRIORITY = 1
"""Behind people's requests."""


@dataclass(frozen=True, slots=True)
class Scores:
    """One model's results, prompt by prompt: instructions followed, and copies of the prompt."""

    model: str
    followed: tuple[int, ...]
    copies: int


def read_prompts(file: Path, limit: int | None) -> list[Prompt]:
    """The rows of an IFEval file (`prompt`, `instruction_id_list`, `kwargs`).

    A row with a prompt only is a prompt without constraints.
    """
    prompts = []
    for line in file.read_text(encoding="utf-8").splitlines()[:limit]:
        row = json.loads(line)
        constraints = tuple(
            # The published rows name every argument there is, and null those that do not apply.
            Constraint(name, {key: value for key, value in kwargs.items() if value is not None})
            for name, kwargs in zip(
                row.get("instruction_id_list", ()), row.get("kwargs", ()), strict=True
            )
        )
        prompts.append(Prompt.from_text(row["prompt"], constraints))
    return prompts


async def measure(
    url: str, models: Sequence[str], prompts: Sequence[Prompt], max_tokens: int
) -> list[Scores]:
    """Every model's scores; one progress bar for each."""
    engine = RemoteEngine(url, connections=AT_ONCE, timeout_s=CALL_SECONDS)
    checker = Checker(processes=1, seconds=5.0)
    try:
        await checker.start()
        with Progress() as progress:
            return [
                await _measure(engine, checker, model, prompts, max_tokens, progress)
                for model in models
            ]
    finally:
        await checker.close()
        await engine.close()


async def _measure(
    engine: RemoteEngine,
    checker: Checker,
    model: str,
    prompts: Sequence[Prompt],
    max_tokens: int,
    progress: Progress,
) -> Scores:
    bar = progress.add_task(model, total=len(prompts))
    places = asyncio.Semaphore(AT_ONCE)

    async def one(prompt: Prompt) -> tuple[int, bool]:
        async with places:
            sampling = Sampling(temperature=0.0, top_p=1.0, max_tokens=max_tokens)
            call = Call(prompt.messages, model, sampling, LEAST_PRIORITY)
            text = (await engine.complete(call)).text
        results = await checker.check(prompt, text)
        progress.advance(bar)
        copied = any(result.id == COPY_ID for result in results)
        return sum(result.satisfied for result in results), copied

    found = await asyncio.gather(*(one(prompt) for prompt in prompts))
    return Scores(model, tuple(count for count, _ in found), sum(copied for _, copied in found))


def scores_table(scores: Sequence[Scores], prompts: Sequence[Prompt]) -> Table:
    """One row a model; differences are paired, against the first."""
    asked = [len(prompt.constraints) for prompt in prompts]
    shown = Table(title=f"IFEval, strict, greedy, {len(prompts)} prompts")
    for name in (
        "model",
        "prompts",
        "95 %",
        "instructions",
        "average",
        "against the first",
        "copies",
    ):
        shown.add_column(name)
    for one in scores:
        whole = sum(followed == n for followed, n in zip(one.followed, asked, strict=True))
        low, high = wilson(whole, len(prompts))
        against = compare("instructions", one.followed, scores[0].followed, asked)
        share, instructions = whole / len(prompts), against.candidate
        shown.add_row(
            one.model,
            f"{share:.1%}",
            f"{low:.1%} - {high:.1%}",
            f"{instructions:.1%}",
            f"{(share + instructions) / 2:.1%}",
            f"{against.difference:+.1%} ({against.low:+.1%} to {against.high:+.1%})",
            str(one.copies),
        )
    return shown
