"""The same metrics as lm-eval's on the same answers."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.constraints.checker import Checker
from app.constraints.ifeval import KINDS
from app.evaluation.base import RowOutcome
from app.evaluation.instructions import IFEVAL
from tests.evaluation.answers import ANSWERS, INSTRUCTIONS

ROOT = Path(__file__).parents[2]
Rows = list[dict[str, Any]]


def row(key: str, asked: list[tuple[str, dict[str, Any]]], response: str) -> dict[str, Any]:
    """A published row, with a response to it."""
    return {
        "key": key,
        "prompt": "Say where the river goes.",
        "instruction_id_list": [name for name, _ in asked],
        "kwargs": [kwargs for _, kwargs in asked],
        "response": response,
    }


OTHERWISE = [
    row("blank", [INSTRUCTIONS[14]], "\n\nFirst.\n\nAfter."),
    row("thinking", [("punctuation:no_comma", {})], "<think>Well, hm.</think>Fine."),
]


def rows() -> Iterator[dict[str, Any]]:
    """Every answer with a third of the instructions, in prompts of one, two and three of them."""
    for number, answer in enumerate(ANSWERS):
        some = INSTRUCTIONS[number % 3 :: 3]
        at = 0
        while at < len(some):
            asked = some[at : at + 1 + at % 3]
            yield row(f"{number}-{at}", asked, answer)
            at += len(asked)


async def ours(some: Rows, checker: Checker, folder: Path) -> tuple[Rows, dict[str, float]]:
    """Our scores in lm-eval's form, its lists of instructions as their sums; and our metrics."""
    file = folder / "rows.jsonl"
    file.write_text("".join(json.dumps(one) + "\n" for one in some))
    items = IFEVAL.read(file)
    scores = [
        await IFEVAL.score(item, RowOutcome(response=one["response"]), checker)
        for item, one in zip(items, some, strict=True)
    ]
    shown: Rows = [
        {
            "prompt_level_strict_acc": score["prompts_strict"][0],
            "inst_level_strict_acc": score["instructions_strict"][0],
            "prompt_level_loose_acc": score["prompts_loose"][0],
            "inst_level_loose_acc": score["instructions_loose"][0],
        }
        for score in scores
    ]
    return shown, {metric.name: metric.value for metric in IFEVAL.metrics(items, scores)}


def test_every_type_of_instruction_is_among_them() -> None:
    assert {name for name, _ in INSTRUCTIONS} == {kind.id for kind in KINDS}


@pytest.fixture(scope="module")
def theirs() -> Rows:
    """lm-eval's scores of all rows here, made at once: it takes its time to start."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.helpers.lm_eval_scores"],
        input=json.dumps([*rows(), *OTHERWISE]),
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
    )
    scores: Rows = json.loads(done.stdout.splitlines()[-1])
    return scores


async def test_scores_are_those_of_lm_eval(theirs: Rows, checker: Checker, tmp_path: Path) -> None:
    some = list(rows())
    expected = theirs[: len(some)]
    shown, metrics = await ours(some, checker, tmp_path)
    for one, score, wanted in zip(some, shown, expected, strict=True):
        assert score == {
            name: sum(value) if isinstance(value, list) else value for name, value in wanted.items()
        }, one
    for how in ("strict", "loose"):
        prompts = [score[f"prompt_level_{how}_acc"] for score in expected]
        flags = [flag for score in expected for flag in score[f"inst_level_{how}_acc"]]
        assert metrics[f"prompts_{how}"] == sum(prompts) / len(prompts)
        assert metrics[f"instructions_{how}"] == sum(flags) / len(flags)
        assert 0.1 < metrics[f"prompts_{how}"] < 0.9
    assert metrics["instructions_loose"] > metrics["instructions_strict"]


async def test_hidden_reasoning_is_not_scored_unlike_lm_eval(
    theirs: Rows, checker: Checker, tmp_path: Path
) -> None:
    """Blank space in front moves lm-eval's paragraphs, and thinking counts as text there."""
    shown, _ = await ours(OTHERWISE, checker, tmp_path)
    assert [score["prompt_level_strict_acc"] for score in shown] == [1.0, 1.0]
    assert [score["prompt_level_strict_acc"] for score in theirs[-2:]] == [False, False]
