"""LLMBar: reading, scoring, floors."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.constraints.checker import Checker
from app.errors import ConfigurationError
from app.evaluation.base import Item, Metric, RowOutcome, Score, Verdicts
from app.evaluation.llmbar import (
    LabelledPair,
    LLMBar,
    comparison_messages,
    preference_score,
    read_pairs,
    read_preference,
)
from tests.helpers.properties import calm

LABELLED = {"instruction": "Say yes.", "output_1": "yes", "output_2": "no", "label": 1}


def write_pairs(folder: Path, *rows: object) -> Path:
    file = folder / "pairs.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def test_label_selects_the_better_output(tmp_path: Path) -> None:
    file = write_pairs(tmp_path, LABELLED, LABELLED | {"label": 2, "source": "somewhere"})
    assert read_pairs(file, 10) == [
        LabelledPair("Say yes.", "yes", "no"),
        LabelledPair("Say yes.", "no", "yes"),
    ]


def test_limit_bounds_the_rows_read(tmp_path: Path) -> None:
    assert len(read_pairs(write_pairs(tmp_path, LABELLED, LABELLED, {}), 2)) == 2


@pytest.mark.parametrize("row", [{}, LABELLED | {"label": 3}, [], LABELLED | {"output_1": None}])
def test_a_bad_row_is_named(tmp_path: Path, row: object) -> None:
    with pytest.raises(ConfigurationError, match="line 2"):
        read_pairs(write_pairs(tmp_path, LABELLED, row), 10)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"none\.jsonl"):
        read_pairs(tmp_path / "none.jsonl", 10)


def test_equal_values_are_half_right() -> None:
    pairs = ((0.6, 0.4), (0.4, 0.6), (0.5, 0.5))
    assert [preference_score(*pair) for pair in pairs] == [1.0, 0.0, 0.5]


def test_the_question_holds_the_instruction_and_both_responses_in_order() -> None:
    (message,) = comparison_messages("Say {first}.", "{second}", "two {instruction}")
    assert message.role == "user"
    places = [
        message.content.index(text) for text in ("Say {first}.", "{second}", "two {instruction}")
    ]
    assert places == sorted(places)
    assert message.content.count("Say {first}.") == 1


@pytest.mark.parametrize(
    ("reply", "preferred"),
    [
        ("Better: 1", 0),
        ("It is longer, but wrong.\nBetter: 2", 1),
        ("**Better:** Response 2.", 1),
        ("better is: response 1", 0),
        ('"Better: 2"', 1),
        ("Better: 1? No.\nBetter: 2", 1),
        ("2", 1),
        ("Response 1.", 0),
        ("(2)", 1),
        ("", None),
        ("Both are good.", None),
        ("Better: 3", None),
        ("Better: 12", None),
        ("Better: 1.5 times", None),
        ("Better: neither", None),
        ("The better one has 2 reasons.", None),
        ("1 and 2", None),
    ],
)
def test_replies_are_read(reply: str, preferred: int | None) -> None:
    assert read_preference(reply) == preferred


@calm
@given(st.text(), st.sampled_from([1, 2]))
def test_last_marked_preference_counts(before: str, better: int) -> None:
    assert read_preference(f"{before}\nBetter: {better}") == better - 1


def test_the_question_itself_is_no_answer_that_favours_one() -> None:
    """A model that repeats the task prefers what it names last, in both orders: no agreement."""
    (message,) = comparison_messages("Hi.", "a", "b")
    assert read_preference(message.content) == 1


SUITE = LLMBar()
ROW = {"instruction": "Say yes.", "output_1": "yes", "output_2": "no, never", "label": 1}


def read(folder: Path, *rows: object, name: str = "natural.jsonl") -> list[Item]:
    """The items of a file with these rows."""
    file = folder / name
    file.parent.mkdir(exist_ok=True)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return SUITE.read(file)


async def score(item: Item, verdicts: Verdicts | None, checker: Checker) -> Score:
    """The score without its subset."""
    found = await SUITE.score(item, RowOutcome(verdicts=verdicts), checker)
    assert {name.partition("/")[2] for name in found} == {"", item.group}
    return {name: cell for name, cell in found.items() if "/" not in name}


def by_name(metrics: list[Metric]) -> dict[str, float]:
    return {metric.name: round(metric.value, 9) for metric in metrics}


def test_pairs_are_read_with_their_label_and_subset(tmp_path: Path) -> None:
    first, second = read(tmp_path, ROW, ROW | {"id": "a-7", "subset": "GPTInst", "label": 2})
    assert (first.key, first.group, first.better) == ("0", "natural", 0)
    assert (second.key, second.group, second.better) == ("a-7", "GPTInst", 1)
    assert first.pair == ("yes", "no, never")
    assert first.prompt.instruction == "Say yes."


def test_published_files_are_read_as_they_are(tmp_path: Path) -> None:
    row = {"input": "Say yes.", "output_1": "yes", "output_2": "no", "label": 1}
    (item,) = read(tmp_path, [row], name="Neighbor/dataset.json")
    assert (item.group, item.prompt.instruction) == ("Neighbor", "Say yes.")


def test_a_row_without_a_label_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="line 2: label"):
        read(tmp_path, ROW, ROW | {"label": 0})


@pytest.mark.parametrize(
    ("label", "verdicts", "expected"),
    [
        (1, Verdicts((0.8, 0.4), (True, False), (0, 0)), (1, 1.0, 1, 1, 0)),
        (2, Verdicts((0.8, 0.4), (True, False), (0, 0)), (0, 0.0, 0, 1, 0)),
        (1, Verdicts((0.5, 0.5), (True, True), (0, 1)), (0.5, 2 / 3, 0.5, 0, 0)),
        (2, Verdicts((0.2, 0.3), (False, False), (1, None)), (1, 0.0, 0.5, 0, 0.5)),
        (1, Verdicts((1.0, 0.0), (True, False), (None, None)), (1, 1.0, 0, 0, 1)),
        (1, None, (0, 0.0, 0, 0, 1)),
    ],
)
async def test_verdicts_on_a_pair_are_scored(
    tmp_path: Path,
    checker: Checker,
    label: int,
    verdicts: Verdicts | None,
    expected: tuple[float, ...],
) -> None:
    (item,) = read(tmp_path, ROW | {"label": label})
    metrics = SUITE.metrics([item], [await score(item, verdicts, checker)])
    names = ("accuracy", "f1", "pairwise", "agreement", "unreadable")
    assert by_name(metrics) == pytest.approx(dict(zip(names, expected, strict=True)))


async def test_f1_is_that_of_all_pairs_together(tmp_path: Path, checker: Checker) -> None:
    """Better accepted, both accepted, none accepted: 2 true positives, 1 false, 1 missed."""
    items = read(tmp_path, ROW, ROW, ROW)
    accepted = [(True, False), (True, True), (False, False)]
    scores = [
        await score(item, Verdicts((0.0, 0.0), pair), checker)
        for item, pair in zip(items, accepted, strict=True)
    ]
    precision, recall = 2 / 3, 2 / 3
    expected = 2 * precision * recall / (precision + recall)
    assert by_name(SUITE.metrics(items, scores))["f1"] == pytest.approx(expected)


async def test_figures_are_given_for_subsets_too(tmp_path: Path, checker: Checker) -> None:
    items = read(tmp_path, ROW | {"subset": "a"}, ROW | {"subset": "b"}, ROW | {"subset": "b"})
    right, wrong = Verdicts((1.0, 0.0), (True, False)), Verdicts((0.0, 1.0), (False, True))
    scores = [
        await SUITE.score(item, RowOutcome(verdicts=verdicts), checker)
        for item, verdicts in zip(items, (right, right, wrong), strict=True)
    ]
    metrics = by_name(SUITE.metrics(items, scores))
    assert metrics["accuracy"] == pytest.approx(2 / 3)
    assert (metrics["accuracy/a"], metrics["accuracy/b"]) == (1.0, 0.5)
    assert next(iter(metrics)) == SUITE.primary


async def test_floors_need_no_model(tmp_path: Path, checker: Checker) -> None:
    longer_is_better = ROW | {"label": 2}
    items = read(tmp_path, ROW, longer_is_better, longer_is_better)
    floors = {
        name: by_name(list(metrics))
        for name, metrics in (await SUITE.floors(items, checker)).items()
    }
    coin, yes, longer = floors["coin"], floors["always yes"], floors["longer"]
    assert [coin[name] for name in ("accuracy", "f1", "pairwise", "agreement")] == [0.5] * 4
    assert (yes["accuracy"], yes["pairwise"], yes["agreement"]) == (0.5, 0.5, 0.0)
    assert yes["f1"] == pytest.approx(2 / 3)
    assert longer["accuracy"] == longer["pairwise"] == longer["f1"] == pytest.approx(2 / 3)
    assert longer["agreement"] == 1.0
    assert coin["accuracy/natural"] == 0.5
