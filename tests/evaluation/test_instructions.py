"""IFEval and IFBench: reading, loose versions, copies, floors."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.constraints.checker import Checker
from app.errors import ConfigurationError
from app.evaluation.base import Item, RowOutcome
from app.evaluation.instructions import IFBENCH, IFEVAL, InstructionSuite, loose_versions
from tests.helpers.properties import calm

Asked = tuple[str, dict[str, Any]]

COMMA: Asked = ("punctuation:no_comma", {})
WORDS = ("length_constraints:number_words", {"num_words": 6, "relation": "less than"})
TITLE: Asked = ("detectable_format:title", {})
END = ("startend:end_checker", {"end_phrase": "That is all."})


def row(*asked: Asked, key: object = 1, prompt: str = "Go, on.") -> object:
    """A row as published."""
    names, kwargs = [name for name, _ in asked], [given for _, given in asked]
    return {"key": key, "prompt": prompt, "instruction_id_list": names, "kwargs": kwargs}


def read(folder: Path, *rows: object, suite: InstructionSuite = IFEVAL) -> list[Item]:
    """The items of a file with these rows."""
    file = folder / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return suite.read(file)


def test_rows_become_prompts_with_constraints(tmp_path: Path) -> None:
    padded = {"num_words": 6, "relation": "less than", "keyword": None, "language": None}
    (item,) = read(tmp_path, row(COMMA, (WORDS[0], padded), key=1001))
    assert (item.key, item.prompt.instruction) == ("1001", "Go, on.")
    assert [(one.id, one.kwargs) for one in item.prompt.constraints] == [COMMA, WORDS]


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (row(("punctuation:no_dots", {}), key=2), 'unknown instruction "punctuation:no_dots"'),
        (row(key=2), "instruction_id_list"),
        ({"key": 2, "prompt": "x", "instruction_id_list": ["a"], "kwargs": []}, "one entry"),
        (row(COMMA, key=1), 'the key "1"'),
        ({"key": 2}, "prompt"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, bad: object, words: str) -> None:
    with pytest.raises(ConfigurationError, match=f"line 2: .*{words}"):
        read(tmp_path, row(COMMA), bad)


async def test_families_prompts_and_instructions_are_scored(
    tmp_path: Path, checker: Checker
) -> None:
    items = read(tmp_path, row(COMMA, WORDS, TITLE, key=1), row(WORDS, key=2))
    outcomes = [RowOutcome(response="One, two, three."), RowOutcome(response="One, two, three.")]
    scores = [
        await IFEVAL.score(item, outcome, checker)
        for item, outcome in zip(items, outcomes, strict=True)
    ]
    assert scores[0]["instructions_strict"] == (1.0, 3)
    assert scores[0]["instructions_strict/length_constraints"] == (1.0, 1)
    assert scores[0]["prompts_strict"] == (0.0, 1)
    metrics = {metric.name: metric for metric in IFEVAL.metrics(items, scores)}
    assert next(iter(metrics)) == IFEVAL.primary
    assert metrics["prompts_strict"].value == 0.5
    assert metrics["instructions_strict"].value == 0.5
    assert metrics["instructions_strict/length_constraints"].value == 1.0
    assert metrics["instructions_strict/detectable_format"].value == 0.0
    assert metrics["average"].value == 0.5
    assert metrics["copies"].value == 0.0


async def test_loose_forgives_a_line_around_and_asterisks(tmp_path: Path, checker: Checker) -> None:
    (item,) = read(tmp_path, row(COMMA, END))
    answer = "Sure, here you go:\nAll of it.\n*That is all.*\nWell, bye."
    score = await IFEVAL.score(item, RowOutcome(response=answer), checker)
    assert score["instructions_strict"] == (0.0, 2)
    assert score["instructions_loose"] == (2.0, 2)
    assert (score["prompts_strict"], score["prompts_loose"]) == ((0.0, 1), (1.0, 1))


async def test_loose_versions_are_of_what_follows_the_thinking(
    tmp_path: Path, checker: Checker
) -> None:
    (item,) = read(tmp_path, row(COMMA))
    answer = "<think>Hm.\nWell.</think>Sure, here you go:\nPlain."
    score = await IFEVAL.score(item, RowOutcome(response=answer), checker)
    assert (score["prompts_strict"], score["prompts_loose"]) == ((0.0, 1), (1.0, 1))


async def test_each_instruction_may_be_loosely_followed_in_its_own_version(
    tmp_path: Path, checker: Checker
) -> None:
    """As in the original: no single version has to follow all."""
    (item,) = read(tmp_path, row(COMMA, TITLE))
    answer = "<<A, title>>\nPlain."
    score = await IFEVAL.score(item, RowOutcome(response=answer), checker)
    assert score["instructions_loose"] == (2.0, 2)
    assert score["prompts_loose"] == (1.0, 1)


async def test_a_copy_is_counted_and_changes_no_figure_of_the_original(
    tmp_path: Path, checker: Checker
) -> None:
    (item,) = read(tmp_path, row(WORDS, prompt="Use few words."))
    score = await IFEVAL.score(item, RowOutcome(response="Use few words."), checker)
    assert score["copies"] == (1.0, 1)
    assert score["prompts_strict"] == (1.0, 1)


@pytest.mark.parametrize("response", ["", "  \n", "<think>No commas.</think>", None])
async def test_no_answer_follows_nothing(
    tmp_path: Path, checker: Checker, response: str | None
) -> None:
    (item,) = read(tmp_path, row(COMMA, WORDS))
    score = await IFEVAL.score(item, RowOutcome(response=response), checker)
    for how in ("strict", "loose"):
        assert score[f"instructions_{how}"] == (0.0, 2)
        assert score[f"prompts_{how}"] == (0.0, 1)


async def test_instructions_without_checker_are_skipped_and_counted(
    tmp_path: Path, checker: Checker
) -> None:
    """Its prompt has no prompt metric, its other instructions count."""
    odd = (
        "keywords:letter_frequency",
        {"letter": "#", "let_frequency": 4, "let_relation": "at least"},
    )
    items = read(tmp_path, row(COMMA, odd, key=1), row(WORDS, key=2), row(odd, key=3))
    scores = [await IFEVAL.score(item, RowOutcome(response="Yes."), checker) for item in items]
    metrics = {metric.name: (metric.value, metric.n) for metric in IFEVAL.metrics(items, scores)}
    assert metrics["prompts_strict"] == (1.0, 1)
    assert metrics["instructions_strict"] == (1.0, 2)
    assert metrics["unchecked"] == (0.5, 4)


async def test_ifbench_skips_instructions_without_a_checker(
    tmp_path: Path, checker: Checker
) -> None:
    titled: Asked = ("format:title_case", {})
    (item,) = read(tmp_path, row(titled, ("ratio:stop_words", {"percentage": 5})), suite=IFBENCH)
    score = await IFBENCH.score(item, RowOutcome(response="All Words Are Great"), checker)
    assert score["instructions_strict"] == (1.0, 1)
    assert score["unchecked"] == (1.0, 2)
    with pytest.raises(ConfigurationError, match="stop_words"):
        read(tmp_path, row(("ratio:stop_words", {"percentage": 5})))


async def test_floors_answer_nothing_one_sentence_and_the_prompt(
    tmp_path: Path, checker: Checker
) -> None:
    items = read(tmp_path, row(COMMA, prompt="Go on, please."), row(WORDS, key=2, prompt="Few."))
    floors = {
        name: {metric.name: metric.value for metric in metrics}
        for name, metrics in (await IFEVAL.floors(items, checker)).items()
    }
    assert {name: floor["prompts_strict"] for name, floor in floors.items()} == {
        "empty": 0.0,
        "constant": 0.5,
        "echo": 0.5,
    }
    assert {name: floor["copies"] for name, floor in floors.items()} == {
        "empty": 0.0,
        "constant": 0.0,
        "echo": 1.0,
    }


def test_loose_versions_are_the_response_and_seven_more() -> None:
    assert loose_versions("a\n*b*\nc") == [
        "a\n*b*\nc",
        "*b*\nc",
        "a\n*b*",
        "*b*",
        "a\nb\nc",
        "b\nc",
        "a\nb",
        "b",
    ]


@calm
@given(st.text(alphabet="ab *\n", max_size=30))
def test_loose_versions_begin_with_the_response_and_are_never_blank(response: str) -> None:
    versions = loose_versions(response)
    assert all(version.strip() for version in versions)
    assert len(set(versions)) == len(versions) <= 8
    assert versions[:1] == [response] * bool(response.strip())


def test_the_average_of_four_is_the_papers() -> None:
    # LLaMA3-8B-Instruct in SPaR's Table 1 (arXiv 2412.11605), in tenths of a percent.
    of_four = {
        "prompts_loose": (776.0, 1000),
        "instructions_loose": (845.0, 1000),
        "prompts_strict": (706.0, 1000),
        "instructions_strict": (789.0, 1000),
    }
    metrics = {one.name: one.value for one in IFEVAL.metrics([], [of_four])}
    assert round(metrics["average_of_four"], 4) == 0.779
