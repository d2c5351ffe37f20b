"""LLMBar: reading, scoring, floors."""

import json
from pathlib import Path

import pytest

from app.constraints.checker import Checker
from app.errors import ConfigurationError
from app.evaluation.base import Figure, Item, RowOutcome, Score, Verdicts
from app.evaluation.llmbar import LLMBar

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


def by_name(figures: list[Figure]) -> dict[str, float]:
    return {figure.name: round(figure.value, 9) for figure in figures}


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
async def test_what_a_judge_says_of_a_pair_is_scored(
    tmp_path: Path,
    checker: Checker,
    label: int,
    verdicts: Verdicts | None,
    expected: tuple[float, ...],
) -> None:
    (item,) = read(tmp_path, ROW | {"label": label})
    figures = SUITE.figures([item], [await score(item, verdicts, checker)])
    names = ("accuracy", "f1", "pairwise", "agreement", "unreadable")
    assert by_name(figures) == pytest.approx(dict(zip(names, expected, strict=True)))


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
    assert by_name(SUITE.figures(items, scores))["f1"] == pytest.approx(expected)


async def test_figures_are_given_for_subsets_too(tmp_path: Path, checker: Checker) -> None:
    items = read(tmp_path, ROW | {"subset": "a"}, ROW | {"subset": "b"}, ROW | {"subset": "b"})
    right, wrong = Verdicts((1.0, 0.0), (True, False)), Verdicts((0.0, 1.0), (False, True))
    scores = [
        await SUITE.score(item, RowOutcome(verdicts=verdicts), checker)
        for item, verdicts in zip(items, (right, right, wrong), strict=True)
    ]
    figures = by_name(SUITE.figures(items, scores))
    assert figures["accuracy"] == pytest.approx(2 / 3)
    assert (figures["accuracy/a"], figures["accuracy/b"]) == (1.0, 0.5)
    assert next(iter(figures)) == SUITE.primary


async def test_floors_need_no_model(tmp_path: Path, checker: Checker) -> None:
    longer_is_better = ROW | {"label": 2}
    items = read(tmp_path, ROW, longer_is_better, longer_is_better)
    floors = {
        name: by_name(list(figures))
        for name, figures in (await SUITE.floors(items, checker)).items()
    }
    coin, yes, longer = floors["coin"], floors["always yes"], floors["longer"]
    assert [coin[name] for name in ("accuracy", "f1", "pairwise", "agreement")] == [0.5] * 4
    assert (yes["accuracy"], yes["pairwise"], yes["agreement"]) == (0.5, 0.5, 0.0)
    assert yes["f1"] == pytest.approx(2 / 3)
    assert longer["accuracy"] == longer["pairwise"] == longer["f1"] == pytest.approx(2 / 3)
    assert longer["agreement"] == 1.0
    assert coin["accuracy/natural"] == 0.5
